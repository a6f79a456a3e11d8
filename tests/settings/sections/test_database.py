"""The database: its connections, its storage and its backups."""

from __future__ import annotations

import pytest

from settings import Settings
from settings.sections.database import budget
from tests.stack_file import changed, content, faults_of, load, the_fault


def test_the_budget_of_the_prod_stack_adds_up():
    settings = load(content())
    # Two masters and one more during a refresh: 4 services x (5 + 10), the api-server's async engine, 8 result readers,
    # scaling, and the search for lost tasks.
    masters = 3 * (4 * 15 + 15 + 8 + 2)
    # Workers that are being replaced finish their tasks beside the new ones.
    workers = 2 * (8 * (16 + 1) + 4 * (4 + 1))
    assert budget(settings.masters, settings.worker_pools, settings.config).total == masters + workers + 25
    assert budget(settings.masters, settings.worker_pools, settings.config).total <= settings.database.max_connections


def test_the_remedy_for_too_many_connections_is_a_class_that_allows_them():
    fault = the_fault({"airflow:workerPools.default.maxSize": 40})
    assert fault.key == "airflow:database.instanceClass"
    assert fault.given == '"db.m7g.large", which holds 809 connections'
    assert fault.allowed == (
        "a class for 1,680 connections (2 masters and one more during a replacement: 255, workers, old and new, while "
        "all of them are replaced: 1,400, reserve: 25)"
    )
    assert fault.remedy.startswith("use db.m7g.2xlarge; or lower maxSize")


def test_a_single_master_is_shown_in_the_singular():
    fault = the_fault({"airflow:masters.count": 1, "airflow:workerPools.default.maxSize": 45})
    assert "(1 master and one more during a replacement: 170, " in fault.allowed


def test_no_class_is_proposed_for_more_connections_than_the_largest_allows():
    changes = {
        "airflow:workerPools.default.maxSize": 1000,
        "airflow:workerPools.default.instanceTypes": ["m7i.4xlarge"],
    }
    faults = [fault for fault in faults_of(changes) if fault.key == "airflow:database.instanceClass"]
    assert faults[0].remedy.startswith("use a class with more memory, if there is one")


@pytest.mark.parametrize(
    ("section", "option", "value", "more"),
    [
        # Three masters with four processes each, five more connections in each pool.
        ("database", "sql_alchemy_pool_size", 10, 3 * 4 * 5),
        ("database", "sql_alchemy_max_overflow", "20", 3 * 4 * 10),
        # Each api-server process has its own two pools.
        ("api", "workers", 3, 3 * 2 * 30),
    ],
)
def test_options_for_the_size_of_connection_pools_count(section: str, option: str, value: int | str, more: int):
    def total(settings: Settings) -> int:
        return budget(settings.masters, settings.worker_pools, settings.config).total

    without = total(load(content()))
    with_option = total(load(changed({f"airflow:config.{section}.{option}": value})))
    assert with_option == without + more


def test_storage_has_room_to_grow_by_a_tenth():
    changes = {"airflow:database.allocatedStorageGib": 1000}
    assert faults_of({**changes, "airflow:database.maxAllocatedStorageGib": 1100}) == ()
    fault = the_fault({**changes, "airflow:database.maxAllocatedStorageGib": 1099})
    assert fault.key == "airflow:database.maxAllocatedStorageGib"
    assert fault.allowed.startswith("1,100 to 65,536 (GiB)")


def test_protected_data_has_backups():
    fault = the_fault({"airflow:database.backupRetentionDays": 0})
    assert fault.key == "airflow:database.backupRetentionDays"
    assert fault.given == "0, with airflow:cluster.protectData true"


def test_an_unprotected_stack_needs_no_backups():
    assert faults_of({"airflow:database.backupRetentionDays": 0, "airflow:cluster.protectData": False}) == ()
