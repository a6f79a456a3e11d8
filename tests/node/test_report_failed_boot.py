from __future__ import annotations

from collections.abc import Iterator, Sequence

import boto3
import pytest

from tests.node.fake_server import Answer, Request, serving
from tests.node.programs import load

report_failed_boot = load("report-failed-boot")
SENTENCE = "Fetching the secrets failed after 0.3 s: the secret airflow-prod/broker-url does not exist."


class _Systemd:
    """What systemctl and journalctl print, by a word of the command."""

    def __init__(self, **output: str) -> None:
        self.output = output

    def __call__(self, command: Sequence[str]) -> str:
        return next((text for word, text in self.output.items() if any(word in part for part in command)), "")


class _Metadata:
    """The metadata service, version 2: no answer without a token."""

    instance = "i-0123456789abcdef0"

    def __call__(self, request: Request) -> Answer:
        if (request.method, request.path) == ("PUT", "/latest/api/token"):
            return Answer(200, b"token")
        token = {name.lower(): value for name, value in request.headers.items()}.get("x-aws-ec2-metadata-token")
        known = request.path == "/latest/meta-data/instance-id" and token == "token"
        return Answer(200, self.instance.encode()) if known else Answer(401)


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Metadata]:
    service = _Metadata()
    with serving(service) as server:
        monkeypatch.setattr(report_failed_boot, "METADATA_SERVICE", server.url)
        yield service


def _instance_of_a_group(aws: boto3.Session) -> str:
    ec2, autoscaling = aws.client("ec2"), aws.client("autoscaling")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ec2.create_launch_template(LaunchTemplateName="worker", LaunchTemplateData={"ImageId": image})
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="airflow-prod-pool-default",
        LaunchTemplate={"LaunchTemplateName": "worker"},
        MinSize=1,
        MaxSize=1,
        AvailabilityZones=["eu-west-1a"],
    )
    (group,) = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    return group["Instances"][0]["InstanceId"]


def test_the_node_reports_itself_unhealthy(aws: boto3.Session, metadata: _Metadata, capsys: pytest.CaptureFixture[str]):
    metadata.instance = _instance_of_a_group(aws)
    assert report_failed_boot.report(SENTENCE) == 0
    (instance,) = aws.client("autoscaling").describe_auto_scaling_instances()["AutoScalingInstances"]
    assert instance["HealthStatus"].lower() == "unhealthy"
    assert SENTENCE in capsys.readouterr().out


def test_the_report_does_not_wait_for_the_grace_period():
    calls: list[dict[str, object]] = []

    class _Autoscaling:
        def set_instance_health(self, **arguments: object) -> None:
            calls.append(arguments)

    report_failed_boot.report_unhealthy(_Autoscaling(), "i-1")
    assert calls == [{"InstanceId": "i-1", "HealthStatus": "Unhealthy", "ShouldRespectGracePeriod": False}]


def test_a_node_that_cannot_report_itself_fails_so_that_systemd_turns_it_off(
    aws: boto3.Session, metadata: _Metadata, capsys: pytest.CaptureFixture[str]
):
    assert aws.region_name == "eu-west-1"
    metadata.instance = "i-0000000000000dead"
    assert report_failed_boot.report(SENTENCE) == 1
    assert "the node turns itself off" in capsys.readouterr().out


def test_a_node_without_boto3_turns_itself_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(report_failed_boot.sys.modules, "boto3", None)
    assert report_failed_boot.report(SENTENCE) == 1


def test_the_reason_is_the_last_line_of_the_failed_step():
    systemd = _Systemd(ActiveState="failed", journalctl=SENTENCE)
    assert report_failed_boot.reason("airflow-secrets.service", systemd) == f"airflow-secrets.service: {SENTENCE}"


def test_a_step_that_died_without_a_word_is_reported_with_its_result():
    systemd = _Systemd(ActiveState="failed", Result="timeout")
    reason = report_failed_boot.reason("airflow-install.service", systemd)
    assert reason == "airflow-install.service: it left no message; its result is timeout."


def test_a_step_that_never_started_reports_nothing(monkeypatch: pytest.MonkeyPatch):
    reported: list[str] = []
    monkeypatch.setattr(report_failed_boot, "report", reported.append)
    assert report_failed_boot.main(["airflow-database.service"], _Systemd(ActiveState="inactive")) == 0
    assert reported == [], "the step before it has failed and reports for itself"


def test_a_first_boot_that_hangs_is_reported_at_its_deadline():
    assert report_failed_boot.missed_deadline(_Systemd(**{"is-active": "active"})) is None
    assert "cloud-init may hang" in report_failed_boot.missed_deadline(_Systemd(**{"is-active": "inactive"}))
