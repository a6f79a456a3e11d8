"""The nodes of the control plane."""

from __future__ import annotations

from tests.stack_file import the_fault


def test_a_master_has_memory_for_its_services():
    fault = the_fault({"airflow:masters.instanceType": "t3.small"})
    assert fault.key == "airflow:masters.instanceType"
    assert fault.given == '"t3.small", 2 GiB of memory'
