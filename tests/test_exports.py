"""What `pulumi stack output` hands to the operator."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.stack_variants import VARIANTS, recorded


def test_the_admin_password_is_one_command_away():
    command = shlex.split(recorded("prod").exports["adminPasswordCommand"])
    assert command[:3] == ["aws", "secretsmanager", "get-secret-value"]
    secret = recorded("prod").named("aws:secretsmanager/secret:Secret", "secrets-admin-password")
    assert command[command.index("--secret-id") + 1] == secret.inputs["name"]
    assert command[command.index("--query") + 1] == "SecretString"
    assert command[command.index("--region") + 1] == "eu-west-1"
    assert recorded("prod").exports["adminUser"] == "admin"


def test_dags_go_to_the_bucket_that_the_nodes_read():
    bucket = recorded("prod").named("aws:s3/bucket:Bucket", "buckets-dags").inputs["bucket"]
    assert f"s3://{bucket}/" in shlex.split(recorded("prod").exports["uploadDagsCommand"])


@pytest.mark.parametrize(
    ("variant", "url"),
    [
        ("prod", "http://airflow-prod.internal:8080"),
        ("domain", "https://airflow.example.com"),
        ("public", "https://airflow.example.com"),
    ],
)
def test_the_url_opens_the_ui(variant: str, url: str):
    assert recorded(variant).exports["url"] == url


def refresh_commands() -> dict[str, dict[str, str]]:
    """Those of every group, by the group's name."""
    exports = recorded("prod").exports
    groups, commands = exports["autoscalingGroups"], exports["refreshCommands"]
    pools = {groups["workerPools"][pool]: of_pool for pool, of_pool in commands["workerPools"].items()}
    return {groups["masters"]: commands["masters"], **pools}


def test_a_failed_refresh_is_repeated_as_the_program_does_it():
    groups = recorded("prod").of_type("aws:autoscaling/group:Group")
    assert {group.outputs["name"] for group in groups} == refresh_commands().keys()
    for group in groups:
        command = shlex.split(refresh_commands()[group.outputs["name"]]["repeat"])
        wanted = group.inputs["instanceRefresh"]["preferences"]
        given = json.loads(command[command.index("--preferences") + 1])
        assert given == {f"{key[0].upper()}{key[1:]}": value for key, value in wanted.items()}
        assert group.outputs["name"] in command


def test_every_refresh_can_be_watched():
    for group, commands in refresh_commands().items():
        command = shlex.split(commands["watch"])
        assert command[:3] == ["aws", "autoscaling", "describe-instance-refreshes"]
        assert command[command.index("--auto-scaling-group-name") + 1] == group


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_names_in_the_exports_are_names_of_resources(variant: str):
    recording, exports = recorded(variant), recorded(variant).exports
    groups = {group.outputs["name"] for group in recording.of_type("aws:autoscaling/group:Group")}
    assert {exports["autoscalingGroups"]["masters"], *exports["autoscalingGroups"]["workerPools"].values()} == groups
    buckets = {bucket.inputs["bucket"] for bucket in recording.of_type("aws:s3/bucket:Bucket")}
    assert set(exports["buckets"].values()) == buckets
    secrets = {secret.inputs["name"] for secret in recording.of_type("aws:secretsmanager/secret:Secret")}
    assert set(exports["secrets"].values()) == secrets
    log_groups = {group.inputs["name"] for group in recording.of_type("aws:cloudwatch/logGroup:LogGroup")}
    assert set(exports["logGroups"]) == log_groups


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_export_is_a_secret(variant: str):
    assert recorded(variant).secret_exports == frozenset()
