"""Storage and backups of the database."""

from __future__ import annotations

from tests.stack_file import faults_of, the_fault


def test_storage_has_a_tenth_of_room_to_grow():
    changes = {"airflow:database.allocatedStorageGib": 1000}
    assert faults_of({**changes, "airflow:database.maxAllocatedStorageGib": 1100}) == ()
    fault = the_fault({**changes, "airflow:database.maxAllocatedStorageGib": 1099})
    assert fault.key == "airflow:database.maxAllocatedStorageGib"
    assert fault.allowed.startswith("1,100 to 65,536 (GiB)")


def test_protected_data_has_backups():
    fault = the_fault({"airflow:database.backupRetentionDays": 0})
    assert fault.key == "airflow:database.backupRetentionDays"
    assert fault.given == "0, with airflow:cluster.protectData true"


def test_a_stack_that_may_be_thrown_away_needs_no_backups():
    assert faults_of({"airflow:database.backupRetentionDays": 0, "airflow:cluster.protectData": False}) == ()


def test_the_metadata_of_the_last_month_is_always_kept():
    for days in (0, 30, 3650):
        assert faults_of({"airflow:retention": {"metadataDays": days}}) == ()
    fault = the_fault({"airflow:retention": {"metadataDays": 29}})
    assert fault.key == "airflow:retention.metadataDays"
    assert fault.allowed.startswith("0, which keeps them for ever, or 30 to 36,500 (days)")
    assert "your longest run" in fault.remedy
