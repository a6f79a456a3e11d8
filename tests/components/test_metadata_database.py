from __future__ import annotations

import re
from typing import Any

import pulumi
import pytest

from aws_catalog import database_storage
from aws_catalog.database_classes import max_connections
from components.metadata_database import MetadataDatabase, MetadataDatabaseArgs
from engine.program import deploy
from engine.recording import Recording, Resource
from settings import DatabaseSettings
from tests.components.contexts import context

INSTANCE = "aws:rds/instance:Instance"
PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"


def build(
    *,
    protect: bool = True,
    engine_version: str = "17",
    final_snapshot: bool = True,
    gib: int = 100,
) -> MetadataDatabase:
    settings = DatabaseSettings(
        final_snapshot=final_snapshot,
        instance_class="db.m7g.large",
        engine_version=engine_version,
        allocated_storage_gib=gib,
        max_allocated_storage_gib=2 * gib,
    )
    return MetadataDatabase(
        "database",
        MetadataDatabaseArgs(
            context=context(protect=protect, log_groups_days=30),
            settings=settings,
            subnet_ids=["subnet-data-a", "subnet-data-b"],
            security_group_id="sg-database",
        ),
    )


def database(**choices: Any) -> Recording:
    _, recording = deploy(lambda: build(**choices))
    return recording


def instance(**choices: Any) -> Resource:
    return database(**choices).only(INSTANCE)


def parameters(**choices: Any) -> dict[str, dict[str, str]]:
    return {item["name"]: item for item in database(**choices).only(PARAMETERS).inputs["parameters"]}


def test_the_database_refuses_connections_without_tls():
    assert parameters()["rds.force_ssl"]["value"] == "1"


def test_the_database_is_encrypted_and_has_no_public_address():
    inputs = instance().inputs
    assert inputs["storageEncrypted"] is True
    assert inputs["publiclyAccessible"] is False, "the metadata database must only be reachable from our nodes"
    assert inputs["vpcSecurityGroupIds"] == ["sg-database"]


def test_the_state_contains_no_admin_password():
    inputs = instance().inputs
    assert inputs["manageMasterUserPassword"] is True
    assert not {"password", "passwordWo"} & inputs.keys()


@pytest.mark.parametrize("protect", [True, False])
def test_both_pulumi_and_aws_protect_the_database(protect: bool):
    found = instance(protect=protect)
    assert found.options.protect is protect
    assert found.inputs["deletionProtection"] is protect


@pytest.mark.parametrize("protect", [True, False])
def test_a_deleted_database_leaves_a_snapshot_and_its_backups(protect: bool):
    found = instance(protect=protect)
    assert found.inputs["skipFinalSnapshot"] is False, (
        "removing the protection must allow a destroy without losing the data"
    )
    assert re.fullmatch("airflow-prod-metadata-final-[0-9a-f]{8}", found.inputs["finalSnapshotIdentifier"])
    assert found.inputs["deleteAutomatedBackups"] is False, "point-in-time restore must survive the instance"


def test_a_stack_without_a_final_snapshot_leaves_no_backups():
    found = instance(final_snapshot=False)
    assert found.inputs["skipFinalSnapshot"] is True
    assert "finalSnapshotIdentifier" not in found.inputs
    assert found.inputs["deleteAutomatedBackups"] is True


def test_a_larger_class_is_applied_before_the_nodes_that_need_it_start():
    assert instance().inputs["applyImmediately"] is True


@pytest.mark.parametrize("name", ["rds.force_ssl", "timezone"])
def test_a_parameter_set_to_its_default_is_not_a_change_in_every_update(name: str):
    assert parameters()[name]["applyMethod"] == "pending-reboot", "AWS keeps no other method for a default"


def test_the_parameter_group_follows_the_engines_major_version():
    recording = database(engine_version="17.4")
    assert recording.only(PARAMETERS).inputs["family"] == "postgres17"
    assert recording.only(INSTANCE).inputs["engineVersion"] == "17.4"
    assert recording.only(INSTANCE).inputs["parameterGroupName"] == recording.only(PARAMETERS).outputs["name"]


@pytest.mark.parametrize(("version", "upgraded"), [("17", True), ("17.4", False)])
def test_minor_versions_are_applied_unless_one_is_pinned(version: str, upgraded: bool):
    assert instance(engine_version=version).inputs["autoMinorVersionUpgrade"] is upgraded


def test_the_connection_limit_is_the_one_that_the_budget_was_checked_against():
    limit = parameters()["max_connections"]
    assert limit["value"] == str(max_connections("db.m7g.large"))
    assert limit["applyMethod"] == "pending-reboot", "AWS refuses to change it in a running server"


def test_a_long_migration_keeps_its_lock():
    timeout = int(parameters()["idle_in_transaction_session_timeout"]["value"])
    assert timeout >= 2 * 60 * 60 * 1000, "airflow db migrate's lock idles in a transaction for as long as it migrates"


def test_log_groups_with_a_retention_exist_before_rds_creates_its_own():
    recording = database()
    found = recording.only(INSTANCE)
    groups = recording.of_type(LOG_GROUP)
    assert {group.inputs["name"] for group in groups} == {
        f"/aws/rds/instance/airflow-prod-metadata/{export}" for export in found.inputs["enabledCloudwatchLogsExports"]
    }
    assert all(group.inputs["retentionInDays"] == 30 for group in groups)
    assert {group.urn for group in groups} <= set(found.dependencies)


def test_the_monitoring_role_has_its_policy_before_the_instance_uses_it():
    recording = database()
    attachment = recording.only("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert attachment.urn in recording.only(INSTANCE).dependencies, "RDS refuses a role that cannot write its metrics"


def test_backups_and_maintenance_do_not_overlap():
    inputs = instance().inputs
    backup_end = inputs["backupWindow"].partition("-")[2]
    maintenance_start = inputs["maintenanceWindow"].partition("-")[0].partition(":")[2]
    assert backup_end <= maintenance_start, "AWS refuses overlapping windows"


def test_the_component_has_the_arn_of_the_admin_secret_that_rds_manages():
    addresses: dict[str, Any] = {}

    def program() -> None:
        made = build()
        made.admin_secret_arn.apply(lambda arn: addresses.update(arn=arn))
        pulumi.Output.from_input(made.access.address).apply(lambda address: addresses.update(address=address))

    _, recording = deploy(program)
    outputs = recording.only(INSTANCE).outputs
    assert addresses == {"arn": outputs["masterUserSecrets"][0]["secretArn"], "address": outputs["address"]}


def modification(before: Resource, after: Resource) -> dict[str, int]:
    """What the provider sends in ModifyDBInstance when the storage of an instance grows.

    `iops` and `storage_throughput` are optional and computed: what the program does not set keeps the value in the
    state. From 400 GiB on `iops` is sent along with a new size, changed or not (dbInstancePopulateModify in
    internal/service/rds/instance.go; https://github.com/hashicorp/terraform-provider-aws/issues/28382).
    """
    known = {**before.outputs, **before.inputs}
    wanted = {key: after.inputs.get(key, known[key]) for key in ("allocatedStorage", "iops", "storageThroughput")}
    sent = {"allocatedStorage": wanted["allocatedStorage"]}
    if wanted["iops"] != known["iops"] or wanted["allocatedStorage"] >= 400:
        sent["iops"] = wanted["iops"]
    if wanted["storageThroughput"] != known["storageThroughput"]:
        sent |= {"iops": wanted["iops"], "storageThroughput": wanted["storageThroughput"]}
    return sent


@pytest.mark.parametrize(("before", "after"), [(100, 200), (100, 400), (399, 400), (100, 1000), (400, 440)])
def test_storage_of_any_size_grows_in_an_update(before: int, after: int):
    sent = modification(instance(gib=before), instance(gib=after))
    refused = database_storage.refusal(
        sent["allocatedStorage"], iops=sent.get("iops"), throughput=sent.get("storageThroughput")
    )
    assert refused is None


@pytest.mark.parametrize(("gib", "iops", "throughput"), [(20, None, None), (399, None, None), (400, 12_000, 500)])
def test_performance_is_set_to_the_included_values_from_the_size_at_which_rds_accepts_it(
    gib: int, iops: int | None, throughput: int | None
):
    inputs = instance(gib=gib).inputs
    assert (inputs.get("iops"), inputs.get("storageThroughput")) == (iops, throughput)
