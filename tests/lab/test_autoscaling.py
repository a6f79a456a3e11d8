"""The Auto Scaling API of the lab's AWS. Each test has a group of its own."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from engine.recording import Recording
from lab.aws import account
from lab.aws.fleet import Fleet
from tests.lab.account_server import Aws, refusal, served
from tests.stack_queries import TEMPLATE
from tests.stack_variants import recorded

NUMBERS = itertools.count(1)
HOOKS = {
    "ready": {"LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING", "HeartbeatTimeout": 600},
    "drained": {"LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING", "HeartbeatTimeout": 300},
}


@pytest.fixture(scope="module")
def aws(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with served(recording, tmp_path_factory.mktemp("moto")) as running:
        yield running


class Pool:
    """A group with the template and the subnets of a pool of the stack."""

    def __init__(self, aws: Aws, *hooks: str, **given: Any) -> None:
        self.aws = aws
        self.api = aws.client("autoscaling")
        self.name = f"group-{next(NUMBERS)}"
        groups = self.api.describe_auto_scaling_groups()["AutoScalingGroups"]
        like = next(group for group in groups if "MixedInstancesPolicy" in group)
        policy = account.policy_to_give(like)
        distribution = given.pop("distribution", {"OnDemandPercentageAboveBaseCapacity": 100})
        self.api.create_auto_scaling_group(
            **{
                "AutoScalingGroupName": self.name,
                "MinSize": 0,
                "MaxSize": 4,
                "DesiredCapacity": 1,
                "VPCZoneIdentifier": like["VPCZoneIdentifier"],
                "MixedInstancesPolicy": {**policy, "InstancesDistribution": distribution},
                "LifecycleHookSpecificationList": [{"LifecycleHookName": hook, **HOOKS[hook]} for hook in hooks],
                "Tags": [{"Key": "airflow:pool", "Value": "x", "ResourceId": self.name, "PropagateAtLaunch": True}],
            }
            | given
        )

    @property
    def described(self) -> dict[str, Any]:
        return self.api.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"][0]

    @property
    def policy(self) -> dict[str, Any]:
        """Its mixed instances policy, to be given again with a change."""
        return account.policy_to_give(self.described)

    @property
    def states(self) -> list[str]:
        return [member["LifecycleState"] for member in self.described["Instances"]]

    @property
    def oldest(self) -> str:
        return self.described["Instances"][0]["InstanceId"]

    @property
    def activities(self) -> list[dict[str, Any]]:
        return self.api.describe_scaling_activities(AutoScalingGroupName=self.name)["Activities"]

    def answer(self, hook: str, instance: str, result: str = "CONTINUE") -> None:
        self.api.complete_lifecycle_action(
            AutoScalingGroupName=self.name, LifecycleHookName=hook, InstanceId=instance, LifecycleActionResult=result
        )

    def heartbeat(self, hook: str, instance: str) -> None:
        self.api.record_lifecycle_action_heartbeat(
            AutoScalingGroupName=self.name, LifecycleHookName=hook, InstanceId=instance
        )

    def desire(self, desired: int) -> None:
        self.api.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=desired)

    def terminate(self, instance: str, *, decrement: bool = False) -> dict[str, Any]:
        return self.api.terminate_instance_in_auto_scaling_group(
            InstanceId=instance, ShouldDecrementDesiredCapacity=decrement
        )["Activity"]

    def running(self) -> set[str]:
        return {one.id for one in self.aws.fleet.instances().values() if one.group == self.name}


def test_an_instance_is_launched_and_terminated_through_its_hooks(aws: Aws):
    pool = Pool(aws, "ready", "drained")
    first = pool.oldest
    assert pool.states == ["Pending:Wait"]
    pool.heartbeat("ready", first)
    pool.answer("ready", first)
    assert pool.states == ["InService"]
    activity = pool.terminate(first)
    assert activity["Description"] == f"Terminating EC2 instance: {first}"
    assert pool.states == ["Terminating:Wait", "Pending:Wait"]
    assert first in pool.running()
    assert aws.fleet.lifecycle_state(first) == "Terminating:Wait"
    pool.answer("drained", first)
    assert pool.states == ["Pending:Wait"]
    assert first not in pool.running()
    assert aws.fleet.lifecycle_state(first) == "gone"


def test_a_result_without_an_open_action_is_a_validation_error(aws: Aws):
    pool = Pool(aws, "drained")
    for call in (pool.heartbeat, pool.answer):
        error = refusal(lambda call=call: call("drained", pool.oldest))
        assert "(ValidationError)" in error
        assert f"No active Lifecycle Action found with instance ID {pool.oldest}" in error


def test_a_retained_instance_stays_until_it_is_terminated(aws: Aws):
    pool = Pool(aws, "drained", InstanceLifecyclePolicy={"RetentionTriggers": {"TerminateHookAbandon": "retain"}})
    first = pool.oldest
    pool.terminate(first)
    pool.answer("drained", first, "ABANDON")
    assert pool.states == ["Terminating:Retained", "InService"]
    pool.terminate(first)
    assert pool.states == ["InService"]
    assert first not in pool.running()


def test_a_group_does_not_shrink_below_its_minimum(aws: Aws):
    pool = Pool(aws, MinSize=1)
    assert "min size constraint" in refusal(lambda: pool.terminate(pool.oldest, decrement=True))
    assert "below min value 1" in refusal(lambda: pool.desire(0))
    assert "above max value 4" in refusal(lambda: pool.desire(5))
    assert (pool.states, pool.described["DesiredCapacity"]) == (["InService"], 1)


def test_a_group_that_shrinks_drains_its_surplus(aws: Aws):
    pool = Pool(aws, "drained", DesiredCapacity=2)
    pool.desire(1)
    assert sorted(pool.states) == ["InService", "Terminating:Wait"]


def test_new_bounds_do_not_change_the_groups_template(aws: Aws):
    pool = Pool(aws)
    before = pool.described["MixedInstancesPolicy"]
    pool.api.update_auto_scaling_group(AutoScalingGroupName=pool.name, MinSize=2)
    assert pool.described["MixedInstancesPolicy"] == before
    assert (pool.states, pool.described["DesiredCapacity"]) == (["InService", "InService"], 2)


def test_an_added_hook_applies_to_later_launches(aws: Aws):
    pool = Pool(aws)
    pool.api.put_lifecycle_hook(AutoScalingGroupName=pool.name, LifecycleHookName="ready", **HOOKS["ready"])
    pool.desire(2)
    assert pool.states == ["InService", "Pending:Wait"]


@pytest.mark.parametrize("seconds", [29, 7201])
def test_a_hooks_time_out_has_the_bounds_of_aws(aws: Aws, seconds: int):
    pool = Pool(aws)
    hook = HOOKS["ready"] | {"HeartbeatTimeout": seconds}
    assert "ValidationError" in refusal(
        lambda: pool.api.put_lifecycle_hook(AutoScalingGroupName=pool.name, LifecycleHookName="ready", **hook)
    )


def test_an_unhealthy_instance_drains_and_is_replaced_at_once(aws: Aws):
    pool = Pool(aws, "drained", HealthCheckGracePeriod=300)
    pool.api.set_instance_health(InstanceId=pool.oldest, HealthStatus="Unhealthy")
    assert pool.states == ["InService"], "its grace period has just begun"
    pool.api.set_instance_health(InstanceId=pool.oldest, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
    assert pool.states == ["Terminating:Wait", "InService"]


def test_an_instance_that_ec2_ends_does_not_wait_for_a_hook(aws: Aws):
    pool = Pool(aws, "drained")
    first = pool.oldest
    aws.fleet.terminate(first)
    assert pool.states == ["InService"]
    assert pool.oldest != first
    assert pool.activities[0]["StatusCode"] == "Successful"


def test_launches_without_capacity_are_failed_activities_until_there_is_capacity(aws: Aws):
    pool = Pool(aws)
    message = "We currently do not have sufficient m7i.large capacity in the Availability Zone you requested."
    aws.fleet.refuse_launches(pool.name, message)
    pool.desire(2)
    assert pool.states == ["InService"]
    assert (pool.activities[0]["StatusCode"], pool.activities[0]["StatusMessage"]) == ("Failed", message)
    aws.fleet.refuse_launches(pool.name, None)
    pool.desire(3)
    assert pool.states == ["InService"] * 3


def test_spot_instances_have_their_own_life_cycle(aws: Aws):
    pool = Pool(aws, distribution={"OnDemandBaseCapacity": 1, "OnDemandPercentageAboveBaseCapacity": 0})
    pool.desire(3)
    bought = [one.life_cycle for one in aws.fleet.instances().values() if one.group == pool.name]
    assert sorted(bought) == ["on-demand", "spot", "spot"]


@pytest.mark.parametrize("rebalances", [True, False])
def test_an_instance_at_risk_is_replaced_only_with_capacity_rebalancing(aws: Aws, rebalances: bool):
    pool = Pool(aws, "drained", CapacityRebalance=rebalances)
    aws.fleet.recommend_rebalance(pool.oldest)
    assert pool.states == (["Terminating:Wait", "InService"] if rebalances else ["InService"])


def test_capacity_rebalancing_can_be_turned_on_for_an_existing_group(aws: Aws):
    pool = Pool(aws, "drained")
    pool.api.update_auto_scaling_group(AutoScalingGroupName=pool.name, CapacityRebalance=True)
    pool.api.update_auto_scaling_group(AutoScalingGroupName=pool.name, MaxSize=3)
    aws.fleet.recommend_rebalance(pool.oldest)
    assert pool.states == ["Terminating:Wait", "InService"]


@pytest.mark.parametrize("variant", ["prod", "spot"], ids=["alias", "pinned"])
def test_a_changed_template_replaces_all_instances_whether_the_stack_pins_its_image_or_not(aws: Aws, variant: str):
    stack = recorded(variant)
    template = stack.named(TEMPLATE, "pool-default-template")
    pool = Pool(aws, DesiredCapacity=2)
    old = pool.running()
    account.change_template(
        aws.client,
        pool.name,
        {"ImageId": template.inputs["imageId"], "UserData": "I2Nsb3VkLWNvbmZpZwo="},
        account.refresh_preferences(stack, stack.exports["autoscalingGroups"]["workerPools"]["default"]),
    )
    new = pool.running()
    assert len(new) == 2
    assert not new & old
    assert {one.user_data for one in aws.fleet.instances().values() if one.id in new} == {"I2Nsb3VkLWNvbmZpZwo="}
    assert {one.image_id for one in aws.fleet.instances().values() if one.id in new} == {template.inputs["imageId"]}
    [version] = {member["LaunchTemplate"]["Version"] for member in pool.described["Instances"]}
    assert version == pool.policy["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"]


def test_a_described_group_has_its_template_version_and_each_instance_its_own(aws: Aws):
    api, ec2 = aws.client("autoscaling"), aws.client("ec2")
    groups = api.describe_auto_scaling_groups()["AutoScalingGroups"]
    like = next(group for group in groups if "MixedInstancesPolicy" not in group)
    template = {"LaunchTemplateId": like["LaunchTemplate"]["LaunchTemplateId"]}
    name = f"group-{next(NUMBERS)}"
    given = {"MinSize": 0, "MaxSize": 4, "VPCZoneIdentifier": like["VPCZoneIdentifier"]}
    first = {**template, "Version": like["LaunchTemplate"]["Version"]}
    api.create_auto_scaling_group(AutoScalingGroupName=name, DesiredCapacity=1, LaunchTemplate=first, **given)
    [old] = ec2.describe_launch_template_versions(**template, Versions=[first["Version"]])["LaunchTemplateVersions"]
    made = ec2.create_launch_template_version(**template, LaunchTemplateData=old["LaunchTemplateData"])
    second = str(made["LaunchTemplateVersion"]["VersionNumber"])
    api.update_auto_scaling_group(
        AutoScalingGroupName=name, LaunchTemplate={**template, "Version": second}, DesiredCapacity=2
    )
    [group] = api.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    assert group["LaunchTemplate"]["Version"] == second
    assert {member["LaunchTemplate"]["Version"] for member in group["Instances"]} == {first["Version"], second}


def test_a_refresh_with_skip_matching_replaces_nodes_of_another_version_or_type(aws: Aws):
    pool = Pool(aws, DesiredCapacity=2)
    old, skip = pool.running(), {"SkipMatching": True}
    account.change_template(aws.client, pool.name, {"ImageId": "ami-0123456789abcdef0"}, skip)
    new = pool.running()
    assert not new & old, "they are of the version before"
    policy = pool.policy
    policy["LaunchTemplate"]["Overrides"].reverse()
    pool.api.update_auto_scaling_group(AutoScalingGroupName=pool.name, MixedInstancesPolicy=policy)
    pool.api.start_instance_refresh(AutoScalingGroupName=pool.name, Preferences=skip)
    assert pool.running() == new, "they match, in whatever order the types are"
    policy["LaunchTemplate"]["Overrides"] = [{"InstanceType": "m8i.xlarge"}]
    pool.api.update_auto_scaling_group(AutoScalingGroupName=pool.name, MixedInstancesPolicy=policy)
    pool.api.start_instance_refresh(AutoScalingGroupName=pool.name, Preferences=skip)
    assert not pool.running() & new
    assert {one.instance_type for one in aws.fleet.instances().values() if one.group == pool.name} == {"m8i.xlarge"}


def test_a_template_without_an_instance_type_needs_types_in_the_group(aws: Aws):
    data = {"ImageId": "ami-0123456789abcdef0"}
    made = aws.client("ec2").create_launch_template(LaunchTemplateName="without-a-type", LaunchTemplateData=data)
    template = {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"], "Version": "1"}

    def policy(*types: str) -> dict[str, Any]:
        overrides = [{"InstanceType": type_} for type_ in types]
        return {"LaunchTemplate": {"LaunchTemplateSpecification": template, "Overrides": overrides}}

    pool = Pool(aws, MixedInstancesPolicy=policy("m8i.xlarge"))
    assert [one.instance_type for one in aws.fleet.instances().values() if one.group == pool.name] == ["m8i.xlarge"]
    assert "instance type" in refusal(lambda: Pool(aws, MixedInstancesPolicy=policy()))
    pool.api.set_desired_capacity(AutoScalingGroupName=pool.name, DesiredCapacity=2)
    pool.api.update_auto_scaling_group(AutoScalingGroupName=pool.name, MaxSize=3)
    change = {"AutoScalingGroupName": pool.name, "LaunchTemplate": template}
    assert "instance type" in refusal(lambda: pool.api.update_auto_scaling_group(**change))


@pytest.mark.parametrize("given", [{"Preferences": {"SkipMatching": True}}, {"DesiredConfiguration": {}}])
def test_no_group_whose_image_is_an_alias_is_refreshed_with_skip_matching_or_a_desired_configuration(
    aws: Aws, given: dict[str, Any]
):
    pool = Pool(aws)
    if "DesiredConfiguration" in given:
        given = {"DesiredConfiguration": {"MixedInstancesPolicy": pool.policy}}
    old = pool.running()
    error = refusal(lambda: pool.api.start_instance_refresh(AutoScalingGroupName=pool.name, **given))
    assert "Systems Manager parameter" in error
    assert pool.running() == old


def test_a_refresh_with_auto_rollback_needs_a_desired_configuration(aws: Aws):
    pool = Pool(aws)
    refresh = {"AutoScalingGroupName": pool.name, "Preferences": {"AutoRollback": True}}
    assert "when the DesiredConfiguration parameter is empty" in refusal(
        lambda: pool.api.start_instance_refresh(**refresh)
    )


def test_an_address_is_not_assigned_while_its_last_instance_shuts_down(aws: Aws):
    pool, addresses = Pool(aws), []
    for _ in range(5):
        [one] = [one for one in aws.fleet.instances().values() if one.group == pool.name]
        addresses.append(one.address)
        pool.terminate(one.id)
    assert len(set(addresses)) == 5


def test_an_ending_has_its_cause_its_result_and_its_duration(aws: Aws):
    pool = Pool(aws, "drained")
    [instance] = [one for one in aws.fleet.instances().values() if one.group == pool.name]
    pool.terminate(instance.id, decrement=True)
    fleet: Fleet = aws.fleet
    assert fleet.ending(instance) is None
    pool.answer("drained", instance.id)
    ending = fleet.ending(instance)
    assert ending is not None
    assert (ending.how, ending.waited < 10) == ("continue", True)
    assert "user request" in ending.cause
    [activity] = [one for one in pool.activities if one["Description"].startswith("Terminating")]
    assert json.loads(activity["Details"])["How"] == "continue"


def test_the_stacks_hooks_exist(aws: Aws, recording: Recording):
    api = aws.client("autoscaling")
    stacks = recording.of_type(account.HOOK)
    assert stacks
    for hook in stacks:
        group = hook.inputs["autoscalingGroupName"]
        hooks = api.describe_lifecycle_hooks(AutoScalingGroupName=group)["LifecycleHooks"]
        [found] = [one for one in hooks if one["LifecycleHookName"] == hook.outputs["name"]]
        assert found["HeartbeatTimeout"] == hook.inputs["heartbeatTimeout"]
        assert found["DefaultResult"] == hook.inputs["defaultResult"]
