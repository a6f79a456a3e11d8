"""The outputs of `pulumi stack output`."""

from __future__ import annotations

import json
import shlex
from typing import Any

import jmespath
import pytest

from tests.stack_queries import GROUP, TEMPLATE
from tests.stack_variants import VARIANTS, recorded


def test_one_exported_command_prints_the_admin_password():
    command = shlex.split(recorded("prod").exports["adminPasswordCommand"])
    assert command[:3] == ["aws", "secretsmanager", "get-secret-value"]
    secret = recorded("prod").named("aws:secretsmanager/secret:Secret", "secrets-admin-password")
    assert command[command.index("--secret-id") + 1] == secret.inputs["name"]
    assert command[command.index("--query") + 1] == "SecretString"
    assert command[command.index("--region") + 1] == "eu-west-1"
    assert recorded("prod").exports["adminUser"] == "admin"


def test_the_exported_command_publishes_dags_in_the_bucket_that_the_nodes_read():
    bucket = recorded("prod").named("aws:s3/bucket:Bucket", "buckets-dags").inputs["bucket"]
    region, _, *arguments = shlex.split(recorded("prod").exports["publishDagsCommand"])
    assert region == "AWS_REGION=eu-west-1"
    assert arguments == ["-m", "dags", "publish", "--bucket", bucket]


def test_the_exported_policy_lets_a_workflow_publish_to_the_bucket_that_the_nodes_read():
    bucket = recorded("prod").named("aws:s3/bucket:Bucket", "buckets-dags").inputs["bucket"]
    policies = recorded("prod").exports["dagPublisherPolicies"]
    assert set(policies) == {"dags"}
    publish, find = json.loads(policies["dags"])["Statement"]
    assert {resource.split("/")[0] for resource in (*publish["Resource"], find["Resource"])} == {
        f"arn:aws:s3:::{bucket}"
    }


def test_each_bundle_has_its_own_command_and_its_own_policy():
    exports = recorded("bundles").exports
    bucket = exports["buckets"]["dags"]
    assert "publishDagsCommand" not in exports, "there is no bundle dags, and no other is published by accident"
    arguments = shlex.split(exports["publishDagsCommand-finance"])[2:]
    assert arguments == ["-m", "dags", "publish", "--bucket", bucket, "--bundle", "finance"]
    policies = exports["dagPublisherPolicies"]
    assert set(policies) == {"finance", "finance-reports"}
    publish, find = json.loads(policies["finance"])["Statement"]
    assert publish["Resource"] == [
        f"arn:aws:s3:::{bucket}/finance/releases/*",
        f"arn:aws:s3:::{bucket}/finance/current.json",
    ]
    assert find["Condition"] == {"StringLike": {"s3:prefix": "finance/*"}}


def test_the_exported_roles_are_those_of_the_nodes():
    roles = recorded("prod").exports["instanceRoles"]
    found = {role.outputs["name"] for role in recorded("prod").of_type("aws:iam/role:Role")}
    assert {roles["masters"], *roles["workerPools"].values()} <= found
    assert roles["workerPools"] == {pool: f"airflow-prod-eu-west-1-pool-{pool}" for pool in ("default", "heavy")}


@pytest.mark.parametrize(
    ("variant", "url"),
    [
        ("prod", "http://airflow-prod.internal:8080"),
        ("domain", "https://airflow.example.com"),
        ("public", "https://airflow.example.com"),
    ],
)
def test_the_exported_url_is_that_of_the_ui(variant: str, url: str):
    assert recorded(variant).exports["url"] == url


@pytest.mark.parametrize("variant", ["prod", "spot"], ids=["alias", "pinned"])
def test_one_exported_command_starts_a_refresh_as_the_program_does(variant: str):
    exports = recorded(variant).exports
    for key, name in group_names(variant).items():
        command = exports[f"refreshCommand-{key}"]
        assert not set(command) & set("'\"{}\\\n"), "no character that a shell or JSON would have to escape"
        options = ["--auto-scaling-group-name", name, "--region", "eu-west-1", "--preferences"]
        assert command.split()[:-1] == ["aws", "autoscaling", "start-instance-refresh", *options]
        given = dict(item.split("=") for item in command.split()[-1].split(","))
        [group] = [group for group in recorded(variant).of_type(GROUP) if group.outputs["name"] == name]
        wanted = group.inputs["instanceRefresh"]["preferences"]
        assert given == {f"{key[0].upper()}{key[1:]}": json.dumps(value) for key, value in wanted.items()}


def test_an_exported_command_shows_the_progress_of_each_refresh():
    for key, name in group_names("prod").items():
        command = shlex.split(recorded("prod").exports[f"watchRefreshCommand-{key}"])
        assert command[:3] == ["aws", "autoscaling", "describe-instance-refreshes"]
        assert command[command.index("--auto-scaling-group-name") + 1] == name


def test_one_command_lists_the_age_and_the_image_of_every_node():
    command = shlex.split(recorded("prod").exports["nodesCommand"])
    tags = recorded("prod").named(TEMPLATE, "masters-template").inputs["tagSpecifications"][0]["tags"]
    assert f"Name=tag:airflow:cluster,Values={tags['airflow:cluster']}" in command

    def instance(name: str, launched: str) -> dict[str, Any]:
        tagged = [{"Key": "airflow:role", "Value": "worker"}, {"Key": "Name", "Value": name}]
        return {"InstanceId": f"i-{name}", "ImageId": "ami-1", "LaunchTime": launched, "Tags": tagged}

    answer = {
        "Reservations": [{"Instances": [instance("b", "2026-11-02")]}, {"Instances": [instance("a", "2026-11-01")]}]
    }
    assert jmespath.search(command[command.index("--query") + 1], answer) == [
        {"name": "a", "id": "i-a", "image": "ami-1", "launched": "2026-11-01"},
        {"name": "b", "id": "i-b", "image": "ami-1", "launched": "2026-11-02"},
    ]


def group_names(variant: str) -> dict[str, str]:
    """The name of every group, by the end of its outputs' names."""
    groups = recorded(variant).exports["autoscalingGroups"]
    pools = {f"pool-{pool}": name for pool, name in groups["workerPools"].items()}
    return {role: name for role, name in groups.items() if role != "workerPools"} | pools


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_names_in_the_exports_are_names_of_resources(variant: str):
    recording, exports = recorded(variant), recorded(variant).exports
    groups = {group.outputs["name"] for group in recording.of_type("aws:autoscaling/group:Group")}
    assert set(group_names(variant).values()) == groups
    buckets = {bucket.inputs["bucket"] for bucket in recording.of_type("aws:s3/bucket:Bucket")}
    assert set(exports["buckets"].values()) == buckets
    secrets = {secret.inputs["name"] for secret in recording.of_type("aws:secretsmanager/secret:Secret")}
    assert set(exports["secrets"].values()) == secrets
    log_groups = {group.inputs["name"] for group in recording.of_type("aws:cloudwatch/logGroup:LogGroup")}
    assert set(exports["logGroups"]) == log_groups


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_export_is_a_secret(variant: str):
    assert recorded(variant).secret_exports == frozenset()
