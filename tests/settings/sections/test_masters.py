"""The nodes of the control plane."""

from __future__ import annotations

from tests.stack_file import the_fault


def test_masters_with_too_little_memory_for_their_services_are_refused():
    fault = the_fault({"airflow:masters.instanceType": "t3.small"})
    assert fault.key == "airflow:masters.instanceType"
    assert fault.given == '"t3.small", 2 GiB of memory'
