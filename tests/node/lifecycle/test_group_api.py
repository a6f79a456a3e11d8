from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError, NoCredentialsError
from botocore.stub import Stubber

from tests.node.lifecycle.node_of import Outcome
from tests.node.programs import module

group_api = module("lifecycle.group_api")
INSTANCE = "i-0123456789abcdef0"
HOOK = {
    "LifecycleHookName": "worker-is-drained",
    "AutoScalingGroupName": "airflow-prod-pool-default",
    "InstanceId": INSTANCE,
}
ACTIVITY = {
    "ActivityId": "1",
    "AutoScalingGroupName": "airflow-prod-pool-default",
    "Cause": "asked",
    "StartTime": "2027-01-01T00:00:00Z",
    "StatusCode": "InProgress",
}


class _Aws:
    def __init__(self) -> None:
        client = boto3.client(
            "autoscaling", region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        self.stub = Stubber(client)
        self.api = group_api.GroupApi(
            instance=INSTANCE,
            group=HOOK["AutoScalingGroupName"],
            hook=HOOK["LifecycleHookName"],
            connect=lambda: client,
        )


@pytest.fixture
def aws() -> Iterator[_Aws]:
    one = _Aws()
    with one.stub:
        yield one
        one.stub.assert_no_pending_responses()


def test_a_heartbeat_names_the_hook_and_the_instance(aws: _Aws):
    aws.stub.add_response("record_lifecycle_action_heartbeat", {}, HOOK)
    assert aws.api.heartbeat().outcome == Outcome.DONE


def test_a_drained_node_lets_its_termination_go_on(aws: _Aws):
    aws.stub.add_response("complete_lifecycle_action", {}, HOOK | {"LifecycleActionResult": "CONTINUE"})
    assert aws.api.complete().outcome == Outcome.DONE


@pytest.mark.parametrize("decrement", [True, False])
def test_a_node_ends_itself_with_or_without_a_successor(aws: _Aws, decrement: bool):
    asked = {"InstanceId": INSTANCE, "ShouldDecrementDesiredCapacity": decrement}
    aws.stub.add_response("terminate_instance_in_auto_scaling_group", {"Activity": ACTIVITY}, asked)
    assert aws.api.terminate(decrement=decrement).outcome == Outcome.DONE


def test_an_unhealthy_node_is_replaced_at_once(aws: _Aws):
    asked = {"InstanceId": INSTANCE, "HealthStatus": "Unhealthy", "ShouldRespectGracePeriod": False}
    aws.stub.add_response("set_instance_health", {}, asked)
    assert aws.api.report_unhealthy().outcome == Outcome.DONE


def test_what_can_never_succeed_is_a_refusal(aws: _Aws):
    words = "Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate it."
    aws.stub.add_client_error("terminate_instance_in_auto_scaling_group", "ValidationError", words)
    result = aws.api.terminate(decrement=True)
    assert result.outcome == Outcome.REFUSED
    assert words in result.message


@pytest.mark.parametrize("code", ["Throttling", "RequestLimitExceeded", "AccessDenied", "ScalingActivityInProgress"])
def test_what_may_pass_is_a_failure(aws: _Aws, code: str):
    aws.stub.add_client_error("complete_lifecycle_action", code, "later")
    result = aws.api.complete()
    assert (result.outcome, result.answered) == (Outcome.FAILED, True), "nothing was done"


def test_after_an_error_of_the_server_it_may_have_been_done(aws: _Aws):
    aws.stub.add_client_error("terminate_instance_in_auto_scaling_group", "InternalFailure", http_status_code=500)
    result = aws.api.terminate(decrement=True)
    assert (result.outcome, result.answered) == (Outcome.FAILED, False)


def test_an_api_that_cannot_be_reached_is_a_failure():
    def connect() -> None:
        raise ConnectTimeoutError(endpoint_url="https://autoscaling.eu-west-1.amazonaws.com/")

    api = group_api.GroupApi(instance=INSTANCE, group="g", hook="h", connect=connect)
    result = api.complete()
    assert (result.outcome, result.answered) == (Outcome.FAILED, False), "a call that timed out may have arrived"


def test_credentials_are_looked_for_again_after_the_metadata_service_was_away(aws: _Aws):
    class WithoutCredentials:
        def record_lifecycle_action_heartbeat(self, **_: str) -> None:
            raise NoCredentialsError

    clients = iter([WithoutCredentials(), aws.stub.client])
    api = group_api.GroupApi(
        instance=INSTANCE,
        group=HOOK["AutoScalingGroupName"],
        hook=HOOK["LifecycleHookName"],
        connect=lambda: next(clients),
    )
    assert api.heartbeat().outcome == Outcome.FAILED
    aws.stub.add_response("record_lifecycle_action_heartbeat", {}, HOOK)
    assert api.heartbeat().outcome == Outcome.DONE


def test_no_call_takes_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    config = group_api._client().meta.config
    assert config.connect_timeout + config.read_timeout <= 10, "the service has a spot instance's last minute to watch"
    assert config.retries["total_max_attempts"] == 1
