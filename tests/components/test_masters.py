from __future__ import annotations

from dataclasses import replace

import pulumi_aws as aws
import pytest

from components.masters import HEALTH_GRACE_SECONDS, Masters, MastersArgs
from engine.program import deploy
from engine.recording import Recording, Resource
from node.naming import LAUNCHING_HOOK
from settings import MasterSettings
from tests.components.launches import LAUNCH

HOOK = "aws:autoscaling/lifecycleHook:LifecycleHook"
GROUP = "aws:autoscaling/group:Group"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def build(count: int = 2) -> Masters:
    secret = aws.secretsmanager.SecretVersion("dsn-value", secret_id="airflow-prod/database-dsn", secret_string="x")
    return Masters(
        "masters",
        MastersArgs(
            settings=MasterSettings(count=count, instance_type="m7i.large"),
            launch=replace(LAUNCH, after=[secret]),
            target_group_arns={"internal": "arn:internal", "public": "arn:public"},
        ),
    )


def masters(count: int = 2, *, outputs: dict | None = None) -> Recording:
    return deploy(lambda: build(count), outputs=outputs)[1]


def group(count: int = 2) -> Resource:
    return masters(count).only(GROUP)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_group_keeps_its_size(count: int):
    inputs = group(count).inputs
    assert inputs["minSize"] == inputs["maxSize"] == inputs["desiredCapacity"] == count


def test_a_changed_template_starts_a_refresh():
    recording = masters(outputs={TEMPLATE: {"latestVersion": 7}})
    assert recording.only(GROUP).inputs["launchTemplate"]["version"] == "7", "$Latest would never show a difference"
    assert recording.only(GROUP).inputs["instanceRefresh"]["strategy"] == "Rolling"


@pytest.mark.parametrize("count", [1, 2])
def test_a_refresh_terminates_no_master_before_its_successor_serves(count: int):
    inputs = group(count).inputs
    preferences = inputs["instanceRefresh"]["preferences"]
    assert preferences["minHealthyPercentage"] == 100, "one master alone: tasks fail without an api-server"
    assert preferences["maxHealthyPercentage"] > 100, "AWS can only launch first if the group may grow temporarily"
    assert inputs["instanceMaintenancePolicy"] == {"minHealthyPercentage": 100, "maxHealthyPercentage": 110}


def test_a_refresh_waits_for_the_load_balancers_health_check_before_it_continues():
    inputs = group().inputs
    assert inputs["defaultInstanceWarmup"] > inputs["healthCheckGracePeriod"], (
        "otherwise a broken template would replace every node"
    )


def test_a_master_that_stops_serving_is_replaced_but_not_before_its_first_health_checks():
    recording = masters()
    made = recording.only(GROUP)
    assert made.inputs["healthCheckType"] == "ELB"
    attached = [attachment.inputs for attachment in recording.of_type("aws:autoscaling/attachment:Attachment")]
    assert {(item["autoscalingGroupName"], item["lbTargetGroupArn"]) for item in attached} == {
        (made.outputs["name"], "arn:internal"),
        (made.outputs["name"], "arn:public"),
    }
    assert HEALTH_GRACE_SECONDS >= 60, "several checks have to agree"


def test_a_master_is_in_service_when_its_services_are_up():
    recording = masters()
    hook = recording.only(HOOK)
    assert hook.inputs["autoscalingGroupName"] == recording.only(GROUP).outputs["name"]
    assert hook.inputs["name"] == LAUNCHING_HOOK
    assert hook.inputs["lifecycleTransition"] == "autoscaling:EC2_INSTANCE_LAUNCHING"
    assert hook.inputs["defaultResult"] == "ABANDON", "a node that never reports that it is ready is replaced"


def test_the_hook_also_holds_the_groups_first_masters():
    recording = masters()
    [first] = recording.only(GROUP).inputs["initialLifecycleHooks"]
    hook = recording.only(HOOK).inputs
    assert first == {key: hook[key] for key in hook if key != "autoscalingGroupName"}
    assert "initialLifecycleHooks" in recording.only(GROUP).options.ignore_changes, "a change would replace the group"


def test_the_group_of_masters_waits_for_what_they_read_at_boot_but_their_template_does_not():
    recording = masters()
    secret = recording.only("aws:secretsmanager/secretVersion:SecretVersion")
    assert secret.urn in recording.only(GROUP).dependencies
    assert secret.urn not in recording.only(TEMPLATE).dependencies, "a restored database must not change a template"


def test_pulumi_does_not_wait_for_boots():
    assert group().inputs["waitForCapacityTimeout"] == "0"


def test_the_group_and_its_nodes_are_tagged():
    tags = {tag["key"]: tag for tag in group().inputs["tags"]}
    assert tags["Project"]["value"] == "airflow", "default tags do not reach Auto Scaling groups"
    assert tags["airflow:role"]["value"] == "node"
    assert all(tag["propagateAtLaunch"] for tag in tags.values())


def test_the_group_spreads_over_every_subnet_and_reports_its_size():
    inputs = group().inputs
    assert inputs["vpcZoneIdentifiers"] == ["subnet-a", "subnet-b"]
    assert {"GroupInServiceInstances", "GroupDesiredCapacity"} <= set(inputs["enabledMetrics"])
    assert inputs["name"] == "airflow-prod-masters"
