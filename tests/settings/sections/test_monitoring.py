"""The monitor's node, and what it changes for the others."""

from __future__ import annotations

from tests.stack_file import changed, content, faults_of, load, the_fault

MONITORING = {"airflow:monitoring": {"instanceType": "t3.small"}}


def _urls(config: dict[str, object]) -> set[str | None]:
    settings = load(config)
    return {settings.node_environment(group).variables().get("NODE_METRICS_URL") for group in settings.node_groups}


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
