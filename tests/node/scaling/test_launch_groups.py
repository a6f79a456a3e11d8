from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber

from tests.node.programs import module
from tests.node.scaling import fake_groups

launch_groups = module("scaling.launch_groups")


def some_client() -> Any:
    """A client whose responses come from a Stubber."""
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return boto3.client("autoscaling", region_name="eu-west-1", **keys)


SMALL_GROUP = {
    "AutoScalingGroupName": "pool-default",
    "MinSize": 0,
    "MaxSize": 9,
    "DesiredCapacity": 1,
    "DefaultCooldown": 300,
    "AvailabilityZones": ["eu-west-1a"],
    "HealthCheckType": "EC2",
    "CreatedTime": datetime(2026, 11, 20, tzinfo=UTC),
}
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_the_sizes_and_the_instances_in_service_are_read(aws: boto3.Session):
    fake_groups.create(aws, "pool-default", minimum=1, maximum=8, desired=3)
    found = launch_groups.LaunchGroups().describe(["pool-default", "pool-that-is-gone"])
    assert found.keys() == {"pool-default"}
    sizes = found["pool-default"].sizes
    assert (sizes.minimum, sizes.maximum, sizes.desired) == (1, 8, 3)
    assert len(found["pool-default"].in_service) == 3


def test_more_groups_than_one_call_may_name_are_read(aws: boto3.Session):
    names = [f"pool-{number}" for number in range(60)]
    for name in names:
        fake_groups.create(aws, name, minimum=0, maximum=1, desired=0)
    asked: list[int] = []
    client = aws.client("autoscaling")
    client.meta.events.register(
        "provide-client-params.autoscaling.DescribeAutoScalingGroups",
        lambda params, **_: asked.append(len(params["AutoScalingGroupNames"])),
    )
    assert launch_groups.LaunchGroups(lambda: client).describe(names).keys() == set(names)
    assert max(asked) <= 50, "Auto Scaling refuses more"


def test_the_desired_capacity_is_raised_at_once(aws: boto3.Session):
    fake_groups.create(aws, "pool-default", minimum=0, maximum=8, desired=0)
    assert launch_groups.LaunchGroups().raise_to("pool-default", 5) == 5
    assert fake_groups.desired(aws, "pool-default") == 5


def test_a_raise_by_somebody_else_meanwhile_is_not_lowered(aws: boto3.Session):
    fake_groups.create(aws, "pool-default", minimum=0, maximum=8, desired=7)
    assert launch_groups.LaunchGroups().raise_to("pool-default", 5) == 7
    assert fake_groups.desired(aws, "pool-default") == 7


def answer(desired: int, *instances: str, maximum: int = 9) -> dict[str, Any]:
    """The group with so many places and these instances in service."""
    described = [
        {
            "InstanceId": instance,
            "AvailabilityZone": "eu-west-1a",
            "LifecycleState": "InService",
            "HealthStatus": "Healthy",
            "ProtectedFromScaleIn": False,
        }
        for instance in instances
    ]
    sizes = {"DesiredCapacity": desired, "MaxSize": maximum}
    return {"AutoScalingGroups": [SMALL_GROUP | sizes | {"Instances": described}]}


def asked_for(first: dict[str, Any], then: dict[str, Any], *, seconds_between: float = 10, desired: int) -> int:
    """The capacity that is requested, after the response of one pass and that of a later one which raises."""
    client, now = some_client(), [1000.0]
    groups = launch_groups.LaunchGroups(lambda: client, clock=lambda: now[0])
    asked: list[int] = []
    client.meta.events.register(
        "provide-client-params.autoscaling.SetDesiredCapacity",
        lambda params, **_: asked.append(params["DesiredCapacity"]),
    )
    with Stubber(client) as stubber:
        stubber.add_response("describe_auto_scaling_groups", first)
        groups.describe(["pool-default"])
        now[0] += seconds_between
        stubber.add_response("describe_auto_scaling_groups", then)
        stubber.add_response("set_desired_capacity", {})
        assert groups.raise_to("pool-default", desired) == asked[0]
    return asked[0]


def test_an_answer_that_lags_behind_an_earlier_one_lowers_nothing():
    assert asked_for(answer(5, "i-1"), answer(3, "i-1"), desired=4) == 5
    assert asked_for(answer(5, "i-1"), answer(3, "i-1"), desired=6) == 6


def test_an_answer_that_lags_behind_an_own_raise_lowers_nothing():
    client = some_client()
    with Stubber(client) as stubber:
        for asked in (5, 5):
            stubber.add_response("describe_auto_scaling_groups", answer(3))
            stubber.add_response(
                "set_desired_capacity",
                {},
                {"AutoScalingGroupName": "pool-default", "DesiredCapacity": asked, "HonorCooldown": False},
            )
        groups = launch_groups.LaunchGroups(lambda: client)
        assert groups.raise_to("pool-default", 5) == 5
        assert groups.raise_to("pool-default", 4) == 5


def test_what_was_seen_longer_ago_than_answers_lag_is_forgotten():
    assert asked_for(answer(5), answer(3), seconds_between=31, desired=4) == 4


def test_workers_that_have_left_are_not_launched_again():
    assert asked_for(answer(3, "i-1", "i-2", "i-3"), answer(0), desired=1) == 1
    assert asked_for(answer(4, "i-1", "i-2", "i-3"), answer(1, "i-1"), desired=2) == 2


def test_no_more_is_asked_for_than_the_group_may_have_now():
    assert asked_for(answer(8), answer(3, maximum=5), desired=4) == 5


def test_a_group_that_is_gone_cannot_be_raised(aws: boto3.Session):
    with pytest.raises(launch_groups.AutoScalingError, match="the group does not exist"):
        launch_groups.LaunchGroups(lambda: aws.client("autoscaling")).raise_to("pool-default", 5)


def test_a_refusal_is_one_line():
    client = some_client()
    with Stubber(client) as stubber:
        stubber.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [SMALL_GROUP]})
        stubber.add_client_error("set_desired_capacity", "ScalingActivityInProgress", "wait\n a little")
        with pytest.raises(launch_groups.AutoScalingError) as refusal:
            launch_groups.LaunchGroups(lambda: client).raise_to("pool-default", 9)
    assert str(refusal.value).startswith("SetDesiredCapacity of pool-default to 9: ")
    assert str(refusal.value).endswith("wait a little")


def test_a_call_has_short_timeouts():
    config = launch_groups.CLIENT_CONFIG
    longest = config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout)
    assert longest <= 16, "a pass asks several times, and must end before the lock is taken from it"


def activity(status: str, minutes_ago: float, **changes: str) -> dict[str, Any]:
    """A launch as Auto Scaling remembers it."""
    values: dict[str, Any] = {
        "ActivityId": "1",
        "AutoScalingGroupName": "pool-default",
        "Cause": "more capacity was asked for",
        "Description": "Launching a new EC2 instance.  Status Reason: ...",
        "StartTime": NOW - timedelta(minutes=minutes_ago, seconds=5),
        "EndTime": NOW - timedelta(minutes=minutes_ago),
        "StatusCode": status,
        "StatusMessage": f"{status} {minutes_ago} minutes ago",
    }
    return {name: value for name, value in (values | changes).items() if value}


@pytest.mark.parametrize(
    ("activities", "failure"),
    [
        ([], None),
        ([activity("Failed", 1), activity("Successful", 2)], "Failed 1 minutes ago"),
        ([activity("Cancelled", 1)], "Cancelled 1 minutes ago"),
        ([activity("Successful", 1), activity("Failed", 2)], None),
        ([activity("InProgress", 0, EndTime=""), activity("Failed", 1)], "Failed 1 minutes ago"),
        ([activity("Failed", 20)], None),
        ([activity("Failed", 1, Description="Terminating EC2 instance: i-1"), activity("Successful", 2)], None),
        ([activity("Failed", 1, StatusMessage="")], "no reason given"),
    ],
    ids=["none", "failed", "abandoned", "mended", "tried again", "long ago", "another kind", "without a reason"],
)
def test_the_newest_launch_that_has_ended_counts(activities: list[dict[str, Any]], failure: str | None):
    client = some_client()
    with Stubber(client) as stubber:
        stubber.add_response("describe_scaling_activities", {"Activities": activities})
        found = launch_groups.LaunchGroups(lambda: client).launch_failure("pool-default", NOW - timedelta(minutes=10))
    assert found == failure


@pytest.mark.parametrize(
    "said",
    [
        "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: "
        "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state",
        "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: "
        "Client.InternalError: Client error on launch",
    ],
)
def test_a_launch_that_fails_because_of_the_volumes_key_is_logged_with_what_to_do(said: str):
    client = some_client()
    with Stubber(client) as stubber:
        launches = {"Activities": [activity("Cancelled", 1, StatusMessage=said)]}
        stubber.add_response("describe_scaling_activities", launches)
        found = launch_groups.LaunchGroups(lambda: client).launch_failure("pool-default", NOW - timedelta(minutes=10))
    assert found is not None
    assert found.startswith(said)
    assert "Auto Scaling needs a grant: docs/running-worker-pools.md" in found


def described(instance: str, state: str, template: dict[str, str] | None) -> dict[str, Any]:
    """An instance in the group's description."""
    known = {} if template is None else {"LaunchTemplate": template}
    return {
        "InstanceId": instance,
        "AvailabilityZone": "eu-west-1a",
        "LifecycleState": state,
        "HealthStatus": "Healthy",
        "ProtectedFromScaleIn": False,
    } | known


def test_what_each_instance_was_launched_from_is_read():
    client = some_client()
    old, new = ({"LaunchTemplateId": "lt-0123456789abcdef0", "Version": version} for version in ("4", "5"))
    instances = [described("i-1", "InService", old), described("i-2", "Pending:Wait", new)]
    instances += [
        described("i-3", "Terminating:Wait", None),
        described("i-4", "InService", {**new, "Version": "$Latest"}),
    ]
    group = SMALL_GROUP | {"LaunchTemplate": new, "Instances": instances}
    with Stubber(client) as stubber:
        stubber.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [group]})
        found = launch_groups.LaunchGroups(lambda: client).describe(["pool-default"])["pool-default"]
    template = launch_groups.Template
    versions = {"i-1": 4, "i-2": 5}
    known = {name: template(id="lt-0123456789abcdef0", version=version) for name, version in versions.items()}
    assert found.templates == {**known, "i-3": None, "i-4": None}
    assert found.template == template(id="lt-0123456789abcdef0", version=5)
    assert (found.in_service, found.instances) == ({"i-1", "i-4"}, {"i-1", "i-2", "i-3", "i-4"})


def test_credentials_are_looked_for_again_after_the_metadata_service_was_away():
    class WithoutCredentials:
        def describe_scaling_activities(self, **_: object) -> None:
            raise NoCredentialsError

    client = some_client()
    clients = iter([WithoutCredentials(), client])
    groups = launch_groups.LaunchGroups(lambda: next(clients))
    with pytest.raises(launch_groups.AutoScalingError, match="credentials"):
        groups.launch_failure("pool-default", NOW)
    with Stubber(client) as stub:
        stub.add_response("describe_scaling_activities", {"Activities": []})
        assert groups.launch_failure("pool-default", NOW) is None
