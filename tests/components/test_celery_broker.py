from __future__ import annotations

from typing import Any

import pytest

from components.celery_broker import CeleryBroker, CeleryBrokerArgs
from components.metadata_database import MAINTENANCE_WINDOW as DATABASE_MAINTENANCE_WINDOW
from engine.program import deploy
from engine.recording import Recording, Resource
from settings import BrokerSettings
from tests.components.contexts import context

GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
PASSWORD = "random:index/randomPassword:RandomPassword"


def broker(*, protect: bool = True, **settings: Any) -> Recording:
    _, recording = deploy(
        lambda: CeleryBroker(
            "broker",
            CeleryBrokerArgs(
                context=context(protect=protect, log_groups_days=30),
                settings=BrokerSettings(node_type="cache.m7g.large", **settings),
                subnet_ids=["subnet-data-a", "subnet-data-b"],
                security_group_id="sg-broker",
            ),
        )
    )
    return recording


def group(**choices: Any) -> Resource:
    return broker(**choices).only(GROUP)


def test_the_broker_refuses_clients_without_tls():
    inputs = group().inputs
    assert inputs["transitEncryptionEnabled"] is True
    assert inputs["transitEncryptionMode"] == "required", (
        "`preferred` also accepts clients that send the token unencrypted"
    )


def test_the_broker_refuses_clients_without_its_token():
    recording = broker()
    found = recording.only(GROUP)
    assert found.inputs["authToken"] == recording.only(PASSWORD).outputs["result"]
    assert "authToken" in found.secret_inputs, "the token must not be readable in the state"


def test_elasticache_accepts_the_token():
    made = broker().only(PASSWORD).inputs
    assert 16 <= made["length"] <= 128
    assert made["special"] is False, "ElastiCache accepts only eight special characters"


def test_a_full_broker_refuses_messages_instead_of_losing_tasks():
    recording = broker()
    parameters = recording.only("aws:elasticache/parameterGroup:ParameterGroup")
    assert {"name": "maxmemory-policy", "value": "noeviction"} in parameters.inputs["parameters"]
    assert parameters.inputs["family"] == "valkey8"
    assert recording.only(GROUP).inputs["parameterGroupName"] == parameters.outputs["name"]


def test_celery_finds_one_server_and_no_cluster():
    inputs = group().inputs
    assert inputs["clusterMode"] == "disabled"
    assert "numNodeGroups" not in inputs


@pytest.mark.parametrize(("replicas", "servers", "failover"), [(0, 1, False), (1, 2, True), (2, 3, True)])
def test_a_replica_takes_over_from_a_lost_primary(replicas: int, servers: int, failover: bool):
    inputs = group(replicas=replicas).inputs
    assert inputs["numCacheClusters"] == servers
    assert inputs["automaticFailoverEnabled"] is failover
    assert inputs["multiAzEnabled"] is failover, "AWS refuses multi-AZ without failover"


def test_pulumi_refuses_to_delete_a_protected_broker():
    assert group(protect=True).options.protect
    assert not group(protect=False).options.protect


def test_aws_does_not_upgrade_the_broker_by_itself():
    assert group().inputs["autoMinorVersionUpgrade"] is False, "an older version in the program replaces the group"


def test_a_broker_without_snapshots_has_no_window_for_them():
    inputs = group(snapshot_retention_days=0).inputs
    assert inputs["snapshotRetentionLimit"] == 0
    assert "snapshotWindow" not in inputs
    assert group(snapshot_retention_days=3).inputs["snapshotRetentionLimit"] == 3


def test_the_broker_is_encrypted_at_rest():
    assert group().inputs["atRestEncryptionEnabled"] is True


def test_broker_and_database_are_not_maintained_at_the_same_time():
    database_end = DATABASE_MAINTENANCE_WINDOW.partition("-")[2]
    broker_start = group().inputs["maintenanceWindow"].partition("-")[0]
    assert broker_start.partition(":")[0] == database_end.partition(":")[0], (
        "the hours can be compared only on the same day"
    )
    assert broker_start >= database_end


def test_slow_commands_and_engine_messages_reach_log_groups_with_a_retention():
    recording = broker()
    deliveries = {
        item["destination"]: item["logType"] for item in recording.only(GROUP).inputs["logDeliveryConfigurations"]
    }
    assert set(deliveries.values()) == {"slow-log", "engine-log"}
    groups = recording.of_type(LOG_GROUP)
    assert {item.inputs["name"] for item in groups} == set(deliveries)
    assert all(item.inputs["name"].startswith("/aws/vendedlogs/") for item in groups)
    assert all(item.inputs["retentionInDays"] == 30 for item in groups)
    assert recording.only(GROUP).inputs["applyImmediately"] is True, "AWS refuses to change the delivery of logs later"
