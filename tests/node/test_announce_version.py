from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from packaging.version import Version

from tests.node.programs import load, module

announce_version = load("announce-version")
launch_groups = module("scaling.launch_groups")
masters_version = module("airflow_node.masters_version")
BUCKET = "airflow-prod-artifacts"


def instance(name: str, version: str, state: str = "InService", template: str = "lt-1") -> dict[str, Any]:
    return {
        "InstanceId": name,
        "LifecycleState": state,
        "LaunchTemplate": {"LaunchTemplateId": template, "LaunchTemplateName": "masters", "Version": version},
    }


def masters(*instances: dict[str, Any]) -> Any:
    """The group as the program gets it from Auto Scaling's answer."""
    sizes = {"AutoScalingGroupName": "masters", "MinSize": 1, "MaxSize": 4, "DesiredCapacity": 2}
    group = sizes | {"Instances": list(instances)}
    client = SimpleNamespace(
        get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: [{"AutoScalingGroups": [group]}])
    )
    return launch_groups.LaunchGroups(lambda: client).describe(["masters"])["masters"]


@pytest.fixture
def told(aws_over_http: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str | None]:
    """The version that is published to the workers; none at first."""
    monkeypatch.setattr(masters_version, "installed", lambda: Version("3.4.0"))
    s3 = aws_over_http.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def read() -> str | None:
        version = masters_version.read(BUCKET)
        return str(version) if version else None

    return read


def test_masters_of_a_new_cluster_publish_their_version_at_once(told: Callable[[], str | None]):
    announce_version.announce(BUCKET, "i-new", lambda: masters(instance("i-new", "1"), instance("i-other", "1")))
    assert told() == "3.4.0"


def test_a_new_master_publishes_its_version_when_the_last_old_one_serves_no_more(
    told: Callable[[], str | None], monkeypatch: pytest.MonkeyPatch
):
    masters_version.write(BUCKET, Version("3.3.2"))
    steps = [
        [instance("i-old", "1"), instance("i-old2", "1"), instance("i-new", "2", "Pending:Wait")],
        [instance("i-old", "1"), instance("i-old2", "1"), instance("i-new", "2")],
        [instance("i-old", "1"), instance("i-old2", "1", "Terminating"), instance("i-new", "2")],
        [instance("i-old", "1", "Standby"), instance("i-new", "2"), instance("i-new2", "2")],
        [instance("i-old", "1", "Terminating:Proceed"), instance("i-new", "2"), instance("i-new2", "2")],
    ]
    before: list[str | None] = []
    monkeypatch.setattr(announce_version.retry, "wait", lambda _: before.append(told()))
    group = iter([steps[0], *steps])
    announce_version.announce(BUCKET, "i-new", lambda: masters(*next(group)))
    assert before == ["3.3.2"] * 4
    assert told() == "3.4.0"


def test_a_master_of_an_older_airflow_publishes_its_version_at_once(
    told: Callable[[], str | None], monkeypatch: pytest.MonkeyPatch
):
    """The rollback has begun, and the old master may publish its version before the last newer master has ended."""
    masters_version.write(BUCKET, Version("3.5.0"))
    before: list[str | None] = []
    monkeypatch.setattr(announce_version.retry, "wait", lambda _: before.append(told()))
    both = [instance("i-newer", "2"), instance("i-own", "3")]
    group = iter([both, both, [instance("i-own", "3")]])
    announce_version.announce(BUCKET, "i-own", lambda: masters(*next(group)))
    assert before == ["3.4.0"]
    assert told() == "3.4.0"


@pytest.mark.parametrize(
    ("others", "alike"),
    [
        ([], True),
        ([instance("i-b", "7")], True),
        ([instance("i-b", "6")], False),
        ([instance("i-b", "8")], False),
        ([instance("i-b", "7", template="lt-2")], False),
        ([instance("i-b", "6", "Pending:Wait"), instance("i-c", "6", "Terminating:Wait")], True),
    ],
)
def test_masters_are_alike_if_all_that_serve_come_from_one_version_of_a_template(others: list[Any], alike: bool):
    assert announce_version.are_alike(masters(instance("i-a", "7"), *others), "i-a") is alike


def test_a_master_that_its_group_does_not_list_yet_publishes_nothing():
    assert not announce_version.are_alike(masters(instance("i-old", "1")), "i-new")


def test_a_failed_request_to_aws_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    def refuse(_: object, __: object) -> None:
        raise launch_groups.AutoScalingError("no route")

    monkeypatch.setattr(launch_groups.LaunchGroups, "describe", refuse)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    names = ("NODE_ARTIFACTS_BUCKET", "NODE_GROUP", "NODE_INSTANCE_ID")
    with pytest.raises(announce_version.StepFailedError, match="A request to AWS failed: no route"):
        announce_version.step(dict.fromkeys(names, "x"))
