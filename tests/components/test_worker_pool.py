from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pulumi_aws as aws
import pytest

from components.lifecycle_hooks import LAUNCHING_SECONDS
from components.worker_pool import WorkerPool, WorkerPoolArgs
from engine.program import deploy
from engine.recording import Recording, Resource
from node.naming import LAUNCHING_HOOK, TERMINATING_HOOK
from node.roles import worker_group
from settings import WorkerPoolSettings
from tests.components.launches import LAUNCH

GROUP = "aws:autoscaling/group:Group"
HOOK = "aws:autoscaling/lifecycleHook:LifecycleHook"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
GROUP_OF_POOL = worker_group("heavy")
SETTINGS = WorkerPoolSettings(
    queues=("heavy",), instance_types=("r7i.xlarge", "r7a.xlarge"), concurrency=4, min_size=1, max_size=4
)


def build(*, alert_topic_arn: str | None = None, **changes: Any) -> WorkerPool:
    secret = aws.secretsmanager.SecretVersion("broker-value", secret_id="airflow-prod/broker-url", secret_string="x")
    return WorkerPool(
        "pool-heavy",
        WorkerPoolArgs(
            settings=SETTINGS.model_copy(update=changes),
            launch=replace(LAUNCH, group=GROUP_OF_POOL, group_name=GROUP_OF_POOL.name("airflow-prod"), after=[secret]),
            alert_topic_arn=alert_topic_arn,
        ),
    )


def pool(*, outputs: dict | None = None, **changes: Any) -> Recording:
    return deploy(lambda: build(**changes), outputs=outputs)[1]


def group(**changes: Any) -> Resource:
    return pool(**changes).only(GROUP)


def hook(name: str, **changes: Any) -> Mapping[str, Any]:
    return pool(**changes).named(HOOK, f"pool-heavy-{name}-hook").inputs


def distribution(**changes: Any) -> Mapping[str, Any]:
    return group(**changes).inputs["mixedInstancesPolicy"]["instancesDistribution"]


def test_pulumi_up_does_not_change_the_size_of_a_busy_pool():
    assert "desiredCapacity" in group().options.ignore_changes
    assert group().inputs["desiredCapacity"] == 1, "a new pool starts at its minimum"


def test_a_pool_stays_within_its_bounds():
    assert (group().inputs["minSize"], group().inputs["maxSize"]) == (1, 4)


def test_a_worker_is_held_until_its_tasks_are_done():
    terminating = hook("terminating")
    assert terminating["name"] == TERMINATING_HOOK
    assert terminating["autoscalingGroupName"] == "airflow-prod-pool-heavy"
    assert terminating["lifecycleTransition"] == "autoscaling:EC2_INSTANCE_TERMINATING"


@pytest.mark.parametrize(("hours", "heartbeat"), [(1, 300), (12, 480), (24, 960), (47, 1728)])
def test_the_longer_the_drain_limit_the_longer_the_heartbeat(hours: int, heartbeat: int):
    assert hook("terminating", drain_limit_hours=hours)["heartbeatTimeout"] == heartbeat


def test_a_worker_whose_drain_is_abandoned_is_retained_and_raises_an_alarm():
    recording = pool()
    inputs = recording.only(GROUP).inputs
    assert hook("terminating")["defaultResult"] == "ABANDON", (
        "CONTINUE would terminate the node even if tasks still run on it"
    )
    assert inputs["instanceLifecyclePolicy"] == {"retentionTriggers": {"terminateHookAbandon": "retain"}}
    alarm = recording.only(ALARM).inputs
    assert alarm["metricName"] in inputs["enabledMetrics"], "a metric that is not enabled raises no alarm"
    assert alarm["dimensions"] == {"AutoScalingGroupName": "airflow-prod-pool-heavy"}
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("GreaterThanThreshold", 0)


def test_the_alarm_for_retained_workers_tells_people_if_there_is_a_topic():
    told = pool(alert_topic_arn="arn:aws:sns:eu-west-1:111122223333:alerts").only(ALARM).inputs
    assert told["alarmActions"] == told["okActions"] == ["arn:aws:sns:eu-west-1:111122223333:alerts"]
    assert "alarmActions" not in pool().only(ALARM).inputs


def test_a_worker_is_in_service_when_it_takes_tasks():
    launching = hook("launching")
    assert launching["name"] == LAUNCHING_HOOK
    assert launching["lifecycleTransition"] == "autoscaling:EC2_INSTANCE_LAUNCHING"
    assert launching["defaultResult"] == "ABANDON", "a node that never reports that it is ready is replaced"
    assert LAUNCHING_SECONDS > 45 * 60, "the node reports its failure after 45 minutes, with the reason"


def test_the_hook_also_holds_the_groups_first_workers():
    recording = pool()
    [first] = recording.only(GROUP).inputs["initialLifecycleHooks"]
    launching = hook("launching")
    assert first == {key: launching[key] for key in launching if key != "autoscalingGroupName"}
    assert "initialLifecycleHooks" in recording.only(GROUP).options.ignore_changes, "a change would replace the group"


def test_a_changed_template_replaces_each_worker_after_a_new_one_has_started():
    inputs = group().inputs
    preferences = inputs["instanceRefresh"]["preferences"]
    assert preferences["minHealthyPercentage"] == 100
    assert preferences["maxHealthyPercentage"] > 100
    assert not preferences.get("autoRollback"), (
        "the provider has already changed the group, so there is nothing to roll back to"
    )
    assert inputs["instanceMaintenancePolicy"] == {"minHealthyPercentage": 100, "maxHealthyPercentage": 110}


def test_aws_does_not_rebalance_zones_after_workers_have_terminated_themselves():
    assert group().inputs["suspendedProcesses"] == ["AZRebalance"]


def test_a_pool_that_is_removed_keeps_its_hooks_until_its_workers_have_drained():
    recording = pool()
    assert all(each.options.retain_on_delete for each in recording.of_type(HOOK)), (
        "if the hook were deleted first, draining workers would be terminated with their tasks"
    )
    assert recording.only(GROUP).options.delete_timeout == "13h", "the drain limit is 12 hours"


def test_no_worker_is_terminated_for_its_age_or_without_its_hook():
    assert "maxInstanceLifetime" not in group().inputs
    assert not group().inputs.get("forceDelete")


def test_workers_of_an_old_template_terminate_first_and_then_the_newest():
    assert group().inputs["terminationPolicies"] == ["OldestLaunchTemplate", "NewestInstance"]


def test_a_pool_is_on_demand_by_default():
    assert distribution()["onDemandPercentageAboveBaseCapacity"] == 100
    assert group().inputs["capacityRebalance"] is False


def test_spot_workers_use_cheap_types_with_capacity_and_are_replaced_before_they_are_reclaimed():
    spot = distribution(spot_percent=70, on_demand_base=2)
    assert spot["onDemandBaseCapacity"] == 2
    assert spot["onDemandPercentageAboveBaseCapacity"] == 30
    assert spot["spotAllocationStrategy"] == "price-capacity-optimized", "the cheapest are the first to be reclaimed"
    assert group(spot_percent=70).inputs["capacityRebalance"] is True


def test_the_pool_uses_the_first_type_that_is_available_in_the_zone():
    policy = group().inputs["mixedInstancesPolicy"]
    assert [override["instanceType"] for override in policy["launchTemplate"]["overrides"]] == [
        "r7i.xlarge",
        "r7a.xlarge",
    ]
    assert policy["instancesDistribution"]["onDemandAllocationStrategy"] == "prioritized"


def test_the_instance_types_belong_to_the_group_so_a_change_of_them_changes_no_template():
    two = pool(instance_types=("r7i.xlarge", "r7a.xlarge")).only(TEMPLATE).inputs
    assert "instanceType" not in two
    for types in (("r7a.xlarge", "r7i.xlarge"), ("r7i.xlarge", "r7a.xlarge", "m6a.xlarge"), ("r7i.xlarge",)):
        assert pool(instance_types=types).only(TEMPLATE).inputs == two, "a changed template replaces the workers"


def test_the_pool_names_a_version_of_its_template():
    recording = pool(outputs={TEMPLATE: {"latestVersion": 7}})
    specification = recording.only(GROUP).inputs["mixedInstancesPolicy"]["launchTemplate"][
        "launchTemplateSpecification"
    ]
    assert specification == {"launchTemplateId": recording.only(TEMPLATE).id, "version": "7"}


def test_a_failed_boot_is_replaced_at_once():
    inputs = group().inputs
    assert inputs["healthCheckType"] == "EC2", "workers have no load balancer"
    assert inputs["healthCheckGracePeriod"] == 0, "the node's report would be ignored during the grace period"


def test_the_group_of_workers_waits_for_what_they_read_at_boot_but_their_template_does_not():
    recording = pool()
    secret = recording.only("aws:secretsmanager/secretVersion:SecretVersion")
    assert secret.urn in recording.only(GROUP).dependencies
    assert secret.urn not in recording.only(TEMPLATE).dependencies


def test_pulumi_does_not_wait_for_boots():
    assert group().inputs["waitForCapacityTimeout"] == "0"


def test_the_group_is_named_after_its_pool_and_tagged():
    tags = {tag["key"]: tag["value"] for tag in group().inputs["tags"]}
    assert tags == LAUNCH.tags
    assert group().inputs["name"] == "airflow-prod-pool-heavy"
