from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.node.metadata import PASSWORD, Metadata
from tests.node.programs import module

metadata_database = module("scaling.metadata_database")
connection_info = module("airflow_node.postgresql").connection_info


@pytest.fixture
def database(metadata: Metadata) -> Iterator[metadata_database.MetadataDatabase]:
    found = metadata_database.MetadataDatabase(connection_info(metadata.url))
    yield found
    found.close()


def test_one_master_at_a_time_has_its_turn(metadata: Metadata, database: metadata_database.MetadataDatabase):
    other = metadata_database.MetadataDatabase(connection_info(metadata.url))
    with database.turn() as first, other.turn() as second:
        assert first is not None
        assert second is None
    with other.turn() as second:
        assert second is not None
    other.close()


def test_the_database_steps_lock_is_another_one():
    assert module("database.preparation_lock").LOCK != metadata_database.LOCK


def test_a_turn_can_write_nothing(database: metadata_database.MetadataDatabase):
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), database.turn() as connection:
        connection.execute("DELETE FROM task_instance")


def test_a_lost_connection_costs_one_turn(metadata: Metadata, database: metadata_database.MetadataDatabase):
    with database.turn():
        pass
    with metadata.server.superuser() as root:
        root.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'airflow-scaling'"
            " AND datname = %s",
            [metadata.name],
        )
    with pytest.raises(psycopg.OperationalError), database.turn():
        pass
    with database.turn() as connection:
        assert connection is not None


def test_a_master_that_hangs_loses_the_lock(
    metadata: Metadata, database: metadata_database.MetadataDatabase, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(metadata_database, "IDLE_TIMEOUT", 100)
    other = metadata_database.MetadataDatabase(connection_info(metadata.url))

    def hang(until: float) -> None:
        with database.turn():
            while time.monotonic() < until:
                with other.turn() as connection:
                    if connection is not None:
                        taken.append(time.monotonic())
                        return

    taken: list[float] = []
    with pytest.raises(psycopg.Error, match="idle-in-transaction"):
        hang(time.monotonic() + 20)
    assert taken
    with database.turn() as connection:
        assert connection is not None, "it reconnects"
    other.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:////tmp/airflow.db",
        f"postgresql://airflow:{PASSWORD}@host/airflow",
        "postgresql://u:%zz@h/d",
        "host=h",
    ],
)
def test_what_is_no_url_of_a_database_is_named_without_its_password(url: str):
    with pytest.raises(ValueError, match="must be a postgresql:// URL") as refusal:
        connection_info(url)
    assert PASSWORD[:6] not in str(refusal.value)
    assert "zz" not in str(refusal.value)
    assert refusal.value.__cause__ is None
