"""How long logs and the history of runs are kept."""

from __future__ import annotations

from tests.stack_file import faults_of, the_fault


def test_metadata_is_kept_for_at_least_a_month():
    for days in (0, 30, 3650):
        assert faults_of({"airflow:retention": {"metadataDays": days}}) == ()
    fault = the_fault({"airflow:retention": {"metadataDays": 29}})
    assert fault.key == "airflow:retention.metadataDays"
    assert fault.allowed.startswith("0, which keeps them for ever, or 30 to 36,500 (days)")
    assert "your longest run" in fault.remedy
