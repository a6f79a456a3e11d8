from __future__ import annotations

import pulumi

from components.launch_template import launch_template, node_tags
from engine.program import deploy
from engine.recording import Resource
from node.roles import MASTERS, worker_group
from tests.components.launches import LAUNCH


def template() -> Resource:
    _, recording = deploy(
        lambda: launch_template(
            "masters-template",
            LAUNCH,
            instance_type="m7i.large",
            root_volume_gib=30,
            opts=pulumi.ResourceOptions(),
        )
    )
    return recording.only("aws:ec2/launchTemplate:LaunchTemplate")


def test_instance_credentials_need_a_session_and_stay_on_the_node():
    metadata = template().inputs["metadataOptions"]
    assert metadata["httpTokens"] == "required", "IMDSv1 hands the role to any forged request"
    assert metadata["httpPutResponseHopLimit"] == 1, "a container in a task must not reach the node's role"


def test_the_root_disk_is_encrypted_and_goes_with_its_node():
    [device] = template().inputs["blockDeviceMappings"]
    assert device["deviceName"] == "/dev/xvda", "Debian's root device; another name adds a second disk"
    assert device["ebs"]["encrypted"] == "true"
    assert device["ebs"]["volumeType"] == "gp3"
    assert device["ebs"]["deleteOnTermination"] == "true"


def test_a_node_has_no_public_address_whatever_its_subnet_says():
    inputs = template().inputs
    [interface] = inputs["networkInterfaces"]
    assert interface["associatePublicIpAddress"] == "false"
    assert interface["securityGroups"] == ["sg-nodes"]
    assert "vpcSecurityGroupIds" not in inputs, "AWS refuses groups in both places"


def test_instances_and_volumes_carry_the_stack_s_tags():
    tagged = {spec["resourceType"]: spec["tags"] for spec in template().inputs["tagSpecifications"]}
    assert set(tagged) == {"instance", "volume"}
    assert all(LAUNCH.tags.items() <= tags.items() for tags in tagged.values()), "default tags do not reach them"


def test_another_version_of_a_secret_is_another_launch_template():
    [tags] = [spec["tags"] for spec in template().inputs["tagSpecifications"] if spec["resourceType"] == "instance"]
    assert tags["airflow:secret:broker-url"] == LAUNCH.secret_versions["broker-url"]


def test_a_node_that_powers_off_is_gone():
    assert template().inputs["instanceInitiatedShutdownBehavior"] == "terminate"


def test_a_node_can_be_told_apart_in_the_console():
    tags = node_tags({"Project": "airflow"}, "airflow-prod", worker_group("heavy"))
    assert tags == {
        "Project": "airflow",
        "Name": "airflow-prod-worker-heavy",
        "airflow:cluster": "airflow-prod",
        "airflow:role": "worker",
        "airflow:pool": "heavy",
    }
    assert node_tags({}, "airflow-prod", MASTERS)["Name"] == "airflow-prod-master"
