"""The lab's EBS: the program's volume has the program's id, and one attachment at a time, with permission."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from engine.recording import Recording
from lab.aws import account
from tests.lab.account_server import Aws, refusal, served
from tests.stack_variants import recorded


@pytest.fixture(scope="module")
def monitored() -> Recording:
    return recorded("monitoring")


@pytest.fixture(scope="module")
def aws(monitored: Recording, tmp_path_factory: pytest.TempPathFactory) -> Generator[Aws]:
    with served(monitored, tmp_path_factory.mktemp("aws")) as running:
        yield running


def test_the_monitor_alone_attaches_the_volume_and_only_to_itself(monitored: Recording, aws: Aws):
    [volume] = monitored.of_type(account.VOLUME)
    monitor, master = aws.instance("monitor"), aws.instance("master")
    found = aws.of_node("monitor", "ec2").describe_volumes(
        Filters=[{"Name": "tag:Name", "Values": [volume.inputs["tags"]["Name"]]}]
    )
    assert [each["VolumeId"] for each in found["Volumes"]] == [volume.id]
    wanted = {"VolumeId": volume.id, "Device": "/dev/sdf"}
    own, others = aws.of_node("monitor", "ec2"), aws.of_node("master", "ec2")
    assert "AccessDenied" in refusal(lambda: others.attach_volume(InstanceId=master.id, **wanted))
    assert "AccessDenied" in refusal(lambda: own.attach_volume(InstanceId=master.id, **wanted))
    own.attach_volume(InstanceId=monitor.id, **wanted)
    assert "VolumeInUse" in refusal(lambda: own.attach_volume(InstanceId=monitor.id, **wanted))


def test_the_monitor_publishes_to_the_topics_and_no_other_node_does(monitored: Recording, aws: Aws):
    topic = monitored.exports["alertTopics"]["warning"]
    aws.of_node("monitor", "sns").publish(TopicArn=topic, Subject="s", Message="m")
    for role in ("master", "worker"):
        assert "AuthorizationError" in refusal(
            lambda role=role: aws.of_node(role, "sns").publish(TopicArn=topic, Message="m")
        ) or "AccessDenied" in refusal(lambda role=role: aws.of_node(role, "sns").publish(TopicArn=topic, Message="m"))
