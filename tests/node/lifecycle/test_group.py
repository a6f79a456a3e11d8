from __future__ import annotations

import pytest

from tests.node.lifecycle.node_of import Outcome
from tests.node.programs import module

actuator = module("lifecycle.actuator")
autoscaling = module("airflow_node.autoscaling")
AwsError = module("airflow_node.aws_request").AwsError
INSTANCE = "i-0123456789abcdef0"
HOOK = {
    "LifecycleHookName": "worker-is-drained",
    "AutoScalingGroupName": "airflow-prod-pool-default",
    "InstanceId": INSTANCE,
}


class _Aws:
    """A substitute for Auto Scaling that records the calls, and raises `error` if it is set."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.error: Exception | None = None

    def __call__(self, action: str, timeouts: object, **parameters: str) -> None:
        assert timeouts == actuator.TIMEOUTS
        self.calls.append((action, parameters))
        if self.error is not None:
            raise self.error


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> _Aws:
    found = _Aws()
    monkeypatch.setattr(autoscaling, "call", found)
    return found


@pytest.fixture
def group() -> actuator.Group:
    return actuator.Group(instance=INSTANCE, name=HOOK["AutoScalingGroupName"], hook=HOOK["LifecycleHookName"])


def test_a_heartbeat_names_the_hook_and_the_instance(aws: _Aws, group: actuator.Group):
    assert group.heartbeat().outcome == Outcome.DONE
    assert aws.calls == [("RecordLifecycleActionHeartbeat", HOOK)]


def test_a_drained_node_completes_the_lifecycle_action(aws: _Aws, group: actuator.Group):
    assert group.complete().outcome == Outcome.DONE
    assert aws.calls == [("CompleteLifecycleAction", HOOK | {"LifecycleActionResult": "CONTINUE"})]


@pytest.mark.parametrize(("decrement", "sent"), [(True, "true"), (False, "false")])
def test_a_node_ends_itself_with_or_without_a_replacement(aws: _Aws, group: actuator.Group, decrement: bool, sent: str):
    assert group.terminate(decrement=decrement).outcome == Outcome.DONE
    asked = {"InstanceId": INSTANCE, "ShouldDecrementDesiredCapacity": sent}
    assert aws.calls == [("TerminateInstanceInAutoScalingGroup", asked)]


def test_an_unhealthy_node_is_replaced_within_the_grace_period_as_well(aws: _Aws, group: actuator.Group):
    assert group.report_unhealthy().outcome == Outcome.DONE
    asked = {"InstanceId": INSTANCE, "HealthStatus": "Unhealthy", "ShouldRespectGracePeriod": "false"}
    assert aws.calls == [("SetInstanceHealth", asked)]


def test_an_error_that_a_retry_cannot_change_is_a_refusal(aws: _Aws, group: actuator.Group):
    message = "Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate it."
    aws.error = AwsError("ValidationError", message, 400)
    result = group.terminate(decrement=True)
    assert (result.outcome, result.answered) == (Outcome.REFUSED, True)
    assert message in result.message


@pytest.mark.parametrize("request_", ["heartbeat", "complete"])
def test_a_hook_that_does_not_wait_is_a_refusal(aws: _Aws, group: actuator.Group, request_: str):
    aws.error = AwsError("ValidationError", "No active Lifecycle Action found", 400)
    result = getattr(group, request_)()
    assert (result.outcome, result.message) == (Outcome.REFUSED, "no lifecycle action waits")


@pytest.mark.parametrize("code", ["Throttling", "RequestLimitExceeded", "AccessDenied", "ScalingActivityInProgress"])
def test_another_error_is_a_failure_after_which_nothing_was_done(aws: _Aws, group: actuator.Group, code: str):
    aws.error = AwsError(code, "later", 400)
    result = group.complete()
    assert (result.outcome, result.answered) == (Outcome.FAILED, True)


@pytest.mark.parametrize(
    "error",
    [
        AwsError("InternalFailure", "", 500),
        TimeoutError("timed out"),
        OSError("no credentials"),
        KeyError("AWS_REGION"),
    ],
    ids=["error of the server", "time-out", "no credentials", "a fault of this program"],
)
def test_without_a_sound_response_the_request_may_have_been_executed(
    aws: _Aws, group: actuator.Group, error: Exception
):
    aws.error = error
    result = group.terminate(decrement=True)
    assert (result.outcome, result.answered) == (Outcome.FAILED, False)


def test_no_request_takes_long():
    """The service must be able to end the tasks in a spot instance's last half minute."""
    credentials = 3 * actuator.TIMEOUTS.metadata
    connection, response = actuator.TIMEOUTS.request, actuator.TIMEOUTS.request
    assert credentials + connection + response <= 10
