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


def test_instance_credentials_require_a_session_token_and_are_not_available_in_containers():
    metadata = template().inputs["metadataOptions"]
    assert metadata["httpTokens"] == "required", "IMDSv1 gives the role's credentials to any forged request"
    assert metadata["httpPutResponseHopLimit"] == 1, "a container that a task starts must not use the node's role"


def test_the_root_disk_is_encrypted_and_deleted_with_its_node():
    [device] = template().inputs["blockDeviceMappings"]
    assert device["deviceName"] == "/dev/xvda", "Debian's root device; another name adds a second disk"
    assert device["ebs"]["encrypted"] == "true"
    assert device["ebs"]["volumeType"] == "gp3"
    assert device["ebs"]["deleteOnTermination"] == "true"


def test_a_node_has_no_public_address_even_if_its_subnet_assigns_them():
    inputs = template().inputs
    [interface] = inputs["networkInterfaces"]
    assert interface["associatePublicIpAddress"] == "false"
    assert interface["securityGroups"] == ["sg-nodes"]
    assert "vpcSecurityGroupIds" not in inputs, "AWS refuses groups in both places"


def test_instances_and_volumes_have_the_stacks_tags():
    tagged = {spec["resourceType"]: spec["tags"] for spec in template().inputs["tagSpecifications"]}
    assert set(tagged) == {"instance", "volume"}
    assert all(LAUNCH.tags.items() <= tags.items() for tags in tagged.values()), "default tags do not reach them"


def test_another_version_of_a_secret_changes_the_launch_template():
    [tags] = [spec["tags"] for spec in template().inputs["tagSpecifications"] if spec["resourceType"] == "instance"]
    assert tags["airflow:secret:broker-url"] == LAUNCH.secret_versions["broker-url"]


def test_a_node_that_powers_off_is_terminated():
    assert template().inputs["instanceInitiatedShutdownBehavior"] == "terminate"


def test_tags_identify_a_node_in_the_console():
    tags = node_tags({"Project": "airflow"}, "airflow-prod", worker_group("heavy"))
    assert tags == {
        "Project": "airflow",
        "Name": "airflow-prod-worker-heavy",
        "airflow:cluster": "airflow-prod",
        "airflow:role": "worker",
        "airflow:pool": "heavy",
    }
    assert node_tags({}, "airflow-prod", MASTERS)["Name"] == "airflow-prod-master"
