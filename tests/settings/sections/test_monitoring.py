"""The monitor's node, and what it changes for the others."""

from __future__ import annotations

from typing import Any

from node.roles import MONITOR
from tests.stack_file import changed, content, faults_of, load, the_fault

MONITORING = {"airflow:monitoring": {"instanceType": "t3.small"}}


def _urls(config: dict[str, object]) -> set[str | None]:
    settings = load(config)
    groups = [group for group in settings.node_groups if group is not MONITOR]
    return {settings.node_environment(group).variables().get("NODE_METRICS_URL") for group in groups}


def test_every_node_sends_its_metrics_to_the_monitor_through_the_load_balancer():
    assert _urls(changed(MONITORING)) == {"http://airflow-prod.internal:8428/api/v1/write"}


def test_without_a_monitor_no_node_sends_metrics():
    assert _urls(content()) == {None}


def test_a_monitor_with_too_little_memory_for_its_database_is_refused():
    assert faults_of(MONITORING) == ()
    fault = the_fault({"airflow:monitoring": {"instanceType": "t4g.micro"}})
    assert fault.key == "airflow:monitoring.instanceType"
    assert fault.given == '"t4g.micro", 1 GiB of memory'
    assert "t4g.small" in fault.remedy


def test_a_monitor_without_storage_is_refused_with_all_other_faults():
    given = {"instanceType": "t3.enormous", "volumeGib": 0, "retentionDays": 0, "volumeSize": 1}
    faults = {fault.key: fault for fault in faults_of({"airflow:monitoring": given})}
    assert set(faults) == {f"airflow:monitoring.{key}" for key in given}
    assert faults["airflow:monitoring.volumeGib"].allowed == "a whole number from 1 to 16,384 (GiB)"


def test_the_monitor_publishes_to_the_topics_of_the_stack_or_to_none():
    def topics(changes: dict[str, Any]) -> str:
        return load(changed(changes)).node_environment(MONITOR).variables()["NODE_ALERT_TOPICS"]

    assert topics(MONITORING) == ""
    critical, warning = topics({**MONITORING, "airflow:alerts": {}}).split()
    assert critical.startswith("critical=arn:aws:sns:eu-west-1:")
    assert warning.endswith(":airflow-prod-alerts-warning")


def test_an_existing_network_needs_the_zone_of_its_first_subnet():
    given = {"airflow:monitoring": {"instanceType": "t3.small", "zone": "eu-west-1x"}}
    fault = the_fault(given)
    assert fault.key == "airflow:monitoring.zone"
    assert fault.allowed == "a zone of airflow:network.zones: eu-west-1a, eu-west-1b, eu-west-1c"
