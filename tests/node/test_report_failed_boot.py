from __future__ import annotations

import http.client
from collections.abc import Callable, Sequence

import boto3
import pytest

from tests.node.programs import load

report_failed_boot = load("report-failed-boot")
SENTENCE = "Fetching the secrets failed after 0.3 s: the secret airflow-prod/broker-url does not exist."
GROUP = "airflow-prod-pool-default"
INSTANCE = "i-0123456789abcdef0"
ENVIRONMENT = {"NODE_GROUP": GROUP, "NODE_LAUNCHING_HOOK": "role-is-ready"}
OF_A_WORKER = ENVIRONMENT | {"NODE_TERMINATING_HOOK": "worker-is-drained"}


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the properties that systemd shows for a unit."""

    def put(unit: str, **properties: str) -> None:
        shown = "".join(f"{name}={value}\n" for name, value in properties.items())
        monkeypatch.setattr(report_failed_boot.systemd, "systemctl", lambda *_, **__: f"Id={unit}\n{shown}")

    return put


@pytest.fixture
def last_message(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the last line that the unit has written to the journal."""
    return lambda text: monkeypatch.setattr(report_failed_boot, "last_message", lambda _: text)


def _instance_of_a_group(aws: boto3.Session) -> str:
    ec2, autoscaling = aws.client("ec2"), aws.client("autoscaling")
    image = ec2.register_image(Name="debian")["ImageId"]
    ec2.create_launch_template(LaunchTemplateName="worker", LaunchTemplateData={"ImageId": image})
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        LaunchTemplate={"LaunchTemplateName": "worker"},
        MinSize=1,
        MaxSize=1,
        AvailabilityZones=["eu-west-1a"],
    )
    (group,) = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    return group["Instances"][0]["InstanceId"]


class _Group:
    """A substitute for Auto Scaling. `waiting`: hooks that wait for the instance. `refused`: actions that it
    refuses."""

    def __init__(self, *waiting: str, refused: Sequence[str] = ()) -> None:
        self.waiting = list(waiting)
        self.refused = refused
        self.calls: list[tuple[str, str]] = []

    def __call__(self, action: str, timeouts: object, **parameters: str) -> None:
        del timeouts
        if action in self.refused:
            raise report_failed_boot.AwsError("AccessDenied", "not you", 403)
        if action == "CompleteLifecycleAction":
            assert (parameters["AutoScalingGroupName"], parameters["InstanceId"]) == (GROUP, INSTANCE)
            if parameters["LifecycleHookName"] not in self.waiting:
                raise report_failed_boot.AwsError("ValidationError", "No active Lifecycle Action found", 400)
            self.waiting.remove(parameters["LifecycleHookName"])
            self.calls.append((parameters["LifecycleHookName"], parameters["LifecycleActionResult"]))
        else:
            self.calls.append((action, parameters["HealthStatus"]))


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> Callable[[_Group], _Group]:
    """Sets the group that the program calls instead of AWS."""
    monkeypatch.setattr(report_failed_boot.metadata_service, "instance_id", lambda: INSTANCE)

    def put(group: _Group) -> _Group:
        monkeypatch.setattr(report_failed_boot.autoscaling, "call", group)
        return group

    return put


def test_a_node_that_is_not_in_service_yet_abandons_its_launch(
    scaling: Callable[[_Group], _Group], capsys: pytest.CaptureFixture[str]
):
    group = scaling(_Group("role-is-ready"))
    assert report_failed_boot.report(SENTENCE, ENVIRONMENT) == 0
    assert group.calls == [("role-is-ready", "ABANDON")]
    assert SENTENCE in capsys.readouterr().out


@pytest.mark.parametrize(
    "group", [_Group(), _Group("role-is-ready", refused=["CompleteLifecycleAction"])], ids=["no hook waits", "refused"]
)
def test_where_no_launch_can_be_abandoned_the_node_is_unhealthy(scaling: Callable[[_Group], _Group], group: _Group):
    scaling(group)
    assert report_failed_boot.report(SENTENCE, ENVIRONMENT) == 0
    assert group.calls == [("SetInstanceHealth", "Unhealthy")]


@pytest.mark.usefixtures("waits")
def test_the_group_hears_of_it_without_an_sdk(aws_over_http: boto3.Session, monkeypatch: pytest.MonkeyPatch):
    instance = _instance_of_a_group(aws_over_http)
    report_failed_boot.autoscaling.report_unhealthy(instance, respect_grace_period=False)
    (found,) = aws_over_http.client("autoscaling").describe_auto_scaling_instances()["AutoScalingInstances"]
    assert found["HealthStatus"].lower() == "unhealthy"
    monkeypatch.setattr(report_failed_boot.metadata_service, "instance_id", lambda: "i-0000000000000dead")
    assert report_failed_boot.report(SENTENCE, ENVIRONMENT) == 1, "a group that does not know it replaces nothing"


def test_a_node_that_cannot_report_itself_fails_so_that_systemd_turns_it_off(
    scaling: Callable[[_Group], _Group], waits: list[float], capsys: pytest.CaptureFixture[str]
):
    scaling(_Group(refused=["CompleteLifecycleAction", "SetInstanceHealth"]))
    assert report_failed_boot.report(SENTENCE, ENVIRONMENT) == 1
    assert "the node turns itself off" in capsys.readouterr().out
    assert sum(waits) >= 120, "its role may be new"


def test_a_group_that_is_busy_with_two_hundred_others_is_told_a_little_later(
    scaling: Callable[[_Group], _Group], waits: list[float], monkeypatch: pytest.MonkeyPatch
):
    group = scaling(_Group("role-is-ready"))

    def busy(action: str, timeouts: object, **parameters: str) -> None:
        if len(waits) < 3:
            raise report_failed_boot.AwsError("Throttling", "Rate exceeded", 400)
        group(action, timeouts, **parameters)

    monkeypatch.setattr(report_failed_boot.autoscaling, "call", busy)
    assert report_failed_boot.report(SENTENCE, ENVIRONMENT) == 0
    assert group.calls == [("role-is-ready", "ABANDON")]


def test_a_node_without_its_settings_turns_itself_off(scaling: Callable[[_Group], _Group]):
    scaling(_Group("role-is-ready"))
    assert report_failed_boot.report(SENTENCE, {}) == 1


def test_a_failed_worker_stays_to_complete_the_hook_that_holds_its_end(
    scaling: Callable[[_Group], _Group], show: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    show("airflow-worker.service", ActiveState="inactive", Job="")
    group = scaling(_Group("role-is-ready"))
    states = iter(["InService", OSError("no answer"), "Terminated", "Terminated"])

    def target_state() -> str:
        state = next(states)
        if isinstance(state, OSError):
            raise state
        return state

    def wait(_: float) -> None:
        if len(waits) == 3:
            group.waiting.append("worker-is-drained")
        waits.append(1)

    waits: list[int] = [1]
    monkeypatch.setattr(report_failed_boot.metadata_service, "target_state", target_state)
    monkeypatch.setattr(report_failed_boot.retry, "wait", wait)
    assert report_failed_boot.report(SENTENCE, OF_A_WORKER) == 0
    assert group.calls == [("role-is-ready", "ABANDON"), ("worker-is-drained", "CONTINUE")]


@pytest.mark.parametrize(
    "still",
    [
        "ActiveState=active\nJob=",
        "ActiveState=deactivating\nJob=977",
        "ActiveState=inactive\nJob=977",
        "",
        report_failed_boot.SystemdError("systemd does not answer"),
        http.client.IncompleteRead(b""),
    ],
    ids=["runs", "finishes its tasks", "is about to start", "no properties", "no answer", "half an answer"],
)
def test_a_worker_that_started_late_keeps_its_tasks(
    scaling: Callable[[_Group], _Group], monkeypatch: pytest.MonkeyPatch, still: str | Exception
):
    def systemctl(*_: str, **__: float) -> str:
        if waits:
            return "Id=airflow-worker.service\nActiveState=inactive\nJob="
        assert group.calls == []
        if isinstance(still, Exception):
            raise still
        return f"Id=airflow-worker.service\n{still}"

    group, waits = scaling(_Group("worker-is-drained")), []
    monkeypatch.setattr(report_failed_boot.systemd, "systemctl", systemctl)
    monkeypatch.setattr(report_failed_boot.metadata_service, "target_state", lambda: "Terminated")
    monkeypatch.setattr(report_failed_boot.retry, "wait", waits.append)
    hook = report_failed_boot.LifecycleHook(name="worker-is-drained", group=GROUP, instance=INSTANCE)
    report_failed_boot.see_off(hook)
    assert group.calls == [("worker-is-drained", "CONTINUE")]
    assert len(waits) == 1


def test_the_reason_is_the_last_line_of_the_failed_step(show: Callable[..., None], last_message: Callable[[str], None]):
    show("airflow-secrets.service", ActiveState="failed", Result="exit-code")
    last_message(SENTENCE)
    assert report_failed_boot.reason("airflow-secrets.service") == f"airflow-secrets.service: {SENTENCE}"


def test_a_step_that_failed_without_a_message_is_reported_with_its_result(
    show: Callable[..., None], last_message: Callable[[str], None]
):
    show("airflow-install.service", ActiveState="failed", Result="timeout")
    last_message("")
    reason = report_failed_boot.reason("airflow-install.service")
    assert reason == "airflow-install.service: it left no message; its result is timeout."


def test_a_step_that_never_started_reports_nothing(show: Callable[..., None], monkeypatch: pytest.MonkeyPatch):
    reported: list[str] = []
    monkeypatch.setattr(report_failed_boot, "report", reported.append)
    show("airflow-database.service", ActiveState="inactive", Result="success")
    assert report_failed_boot.main(["airflow-database.service"], {}) == 0
    assert reported == [], "an earlier step has failed and reports it"


def test_a_first_boot_that_hangs_is_reported_at_its_deadline(show: Callable[..., None]):
    show("airflow-artifacts.service", ActiveState="active")
    assert report_failed_boot.missed_deadline() is None
    show("airflow-artifacts.service", ActiveState="inactive")
    assert "cloud-init may hang" in report_failed_boot.missed_deadline()
