"""What `pulumi stack output` hands to the operator."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.stack_variants import VARIANTS, recorded, settings_of


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


def test_every_pool_says_how_to_replace_its_workers():
    exports = recorded("prod").exports
    assert set(exports["replaceWorkersCommands"]) == set(settings_of("prod").worker_pools)
    for pool, command in exports["replaceWorkersCommands"].items():
        assert exports["autoscalingGroups"]["workerPools"][pool] in shlex.split(command)


def test_a_failed_refresh_of_the_masters_is_repeated_as_the_program_does_it():
    recording = recorded("prod")
    [group] = [g for g in recording.of_type("aws:autoscaling/group:Group") if g.name == "masters-group"]
    command = shlex.split(recording.exports["mastersRefreshCommands"]["repeat"])
    wanted = group.inputs["instanceRefresh"]["preferences"]
    given = json.loads(command[command.index("--preferences") + 1])
    assert given["MinHealthyPercentage"] == wanted["minHealthyPercentage"]
    assert given["MaxHealthyPercentage"] == wanted["maxHealthyPercentage"]
    assert group.outputs["name"] in command


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
