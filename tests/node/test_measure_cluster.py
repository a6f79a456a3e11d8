from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from tests.node.metadata import Metadata
from tests.node.programs import load, module, program_path

measure = load("measure-cluster")
cluster_metrics = module("cluster_metrics.metrics")
MetricsFile = module("airflow_node.metrics_file").MetricsFile
SETTINGS = {"AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "180"}


class Measured:
    """The cluster's metrics, as a scrape would see them."""

    def __init__(self, metadata: Metadata) -> None:
        self.database = measure.settings(SETTINGS | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.url})
        self.file = MetricsFile(None)
        self.metrics = cluster_metrics.ClusterMetrics(self.database, self.file)

    def value(self, name: str, **labels: str) -> float | None:
        return self.file.registry.get_sample_value(f"airflow_{name}", labels)

    def dags(self, name: str) -> set[str]:
        return {
            sample.labels["dag_id"]
            for metric in self.file.registry.collect()
            for sample in metric.samples
            if sample.name == f"airflow_{name}"
        }


@pytest.fixture
def measured(metadata: Metadata):
    found = Measured(metadata)
    yield found
    found.database.close()


def _end_tasks(metadata: Metadata, dag: str, state: str, count: int = 1, heartbeat_seconds_ago: float = 1) -> None:
    metadata.add_tasks(count, state, dag=dag)
    metadata.execute(
        "UPDATE task_instance SET last_heartbeat_at = now() - make_interval(secs => %(ago)s)"
        " WHERE dag_id = %(dag)s AND last_heartbeat_at IS NULL",
        {"dag": dag, "ago": heartbeat_seconds_ago},
    )


def test_queues_show_their_tasks_and_the_age_of_the_oldest(metadata: Metadata, measured: Measured):
    metadata.add_tasks(3, "queued", queue="heavy")
    metadata.add_tasks(2, "running", queue="heavy")
    metadata.execute("UPDATE task_instance SET queued_dttm = now() - interval '90 s'")
    metadata.add_tasks(1, "success", queue="default")
    measured.metrics.measure()
    assert measured.value("queue_tasks", queue="heavy", state="queued") == 3
    assert measured.value("queue_tasks", queue="heavy", state="running") == 2
    assert measured.value("queue_oldest_task_age_seconds", queue="heavy") == pytest.approx(90, abs=5)
    assert measured.value("queue_tasks", queue="default", state="queued") is None
    metadata.execute("UPDATE task_instance SET state = 'success'")
    measured.metrics.measure()
    assert measured.value("queue_tasks", queue="heavy", state="queued") is None, "nothing is left of an empty queue"


def test_a_run_that_ends_is_counted_once_however_short_it_was(metadata: Metadata, measured: Measured):
    metadata.add_dag("etl", 3600)
    metadata.add_run("etl", 5, [], state="failed")
    metadata.add_run("etl", 2, [], state="running")
    measured.metrics.measure()
    assert measured.value("dag_runs", dag_id="etl", state="running") == 1
    assert measured.value("dag_runs_finished_total", dag_id="etl", state="failed") == 0, "it ended before"
    metadata.execute("UPDATE dag_run SET state = 'failed' WHERE state = 'running'")
    metadata.add_run("etl", 1, [], state="success")
    for _ in range(2):
        measured.metrics.measure()
        assert measured.value("dag_runs_finished_total", dag_id="etl", state="failed") == 1
        assert measured.value("dag_runs_finished_total", dag_id="etl", state="success") == 1
    assert measured.value("dag_runs", dag_id="etl", state="running") is None


def test_a_cleared_run_counts_again_when_it_ends_again(metadata: Metadata, measured: Measured):
    metadata.add_run("etl", 5, [], state="failed")
    measured.metrics.measure()
    metadata.execute("UPDATE dag_run SET state = 'queued'")
    measured.metrics.measure()
    metadata.execute("UPDATE dag_run SET state = 'success'")
    measured.metrics.measure()
    assert measured.value("dag_runs_finished_total", dag_id="etl", state="success") == 1


def test_tasks_that_end_are_counted_once_by_their_state(metadata: Metadata, measured: Measured):
    _end_tasks(metadata, "etl", "failed")
    measured.metrics.measure()
    _end_tasks(metadata, "etl", "success", count=4)
    _end_tasks(metadata, "etl", "up_for_retry")
    for _ in range(2):
        measured.metrics.measure()
        assert measured.value("tasks_finished_total", dag_id="etl", state="success") == 4
        assert measured.value("tasks_finished_total", dag_id="etl", state="up_for_retry") == 1
        assert measured.value("tasks_finished_total", dag_id="etl", state="failed") is None, "it ended before"


def test_a_task_whose_worker_was_lost_is_counted_when_airflow_fails_it(metadata: Metadata, measured: Measured):
    _end_tasks(metadata, "etl", "running", heartbeat_seconds_ago=200)
    measured.metrics.measure()
    metadata.execute("UPDATE task_instance SET state = 'failed'")
    measured.metrics.measure()
    assert measured.value("tasks_finished_total", dag_id="etl", state="failed") == 1


def test_the_first_failure_of_a_dag_is_an_increase(metadata: Metadata, measured: Measured):
    metadata.add_dag("etl", 3600)
    measured.metrics.measure()
    assert measured.value("tasks_finished_total", dag_id="etl", state="failed") == 0
    assert measured.value("dag_runs_finished_total", dag_id="etl", state="failed") == 0


def test_any_number_of_dags_has_a_bounded_number_of_series(
    metadata: Metadata, measured: Measured, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(measured.metrics, "_dags", cluster_metrics.Names(2))
    measured.metrics.measure()
    for number in range(5):
        metadata.add_run(f"etl{number}", 1, [], state="success")
        metadata.add_run(f"etl{number}", 2, [], state="running")
    measured.metrics.measure()
    for name in ("dag_runs", "dag_runs_finished_total"):
        dags = measured.dags(name)
        assert len(dags) == 3
        assert cluster_metrics.OTHER in dags
    assert measured.value("dag_runs_finished_total", dag_id=cluster_metrics.OTHER, state="success") == 3
    assert measured.value("dag_runs", dag_id=cluster_metrics.OTHER, state="running") == 3


def test_import_errors_and_parses_are_shown_by_bundle(metadata: Metadata, measured: Measured):
    metadata.add_dag("etl", 3600)
    metadata.add_dag("gone", 3600, is_stale=True)
    metadata.execute("UPDATE dag SET last_parsed_time = now() - interval '40 s' WHERE dag_id = 'etl'")
    metadata.execute("UPDATE dag SET last_parsed_time = now() - interval '9 d' WHERE dag_id = 'gone'")
    measured.metrics.measure()
    assert measured.value("dag_import_errors", bundle="dags") == 0
    assert measured.value("dag_last_parse_age_seconds", bundle="dags") == pytest.approx(40, abs=5)
    metadata.execute("INSERT INTO import_error (bundle_name, filename) VALUES ('reports', 'a.py'), ('reports', 'b.py')")
    measured.metrics.measure()
    assert measured.value("dag_import_errors", bundle="reports") == 2


def test_missed_deadlines_are_those_of_the_last_day(metadata: Metadata, measured: Measured):
    metadata.add_run("etl", 1, [])
    for missed, hours in ((True, 1), (True, 30), (False, 1)):
        metadata.execute(
            "INSERT INTO deadline (id, created_at, last_updated_at, dagrun_id, deadline_time, missed, callback_id)"
            " SELECT gen_random_uuid(), now(), now(), id, now() - make_interval(hours => %(hours)s), %(missed)s,"
            " gen_random_uuid() FROM dag_run",
            {"missed": missed, "hours": hours},
        )
    measured.metrics.measure()
    assert measured.value("deadlines_missed", dag_id="etl") == 1


def test_connections_of_every_role_count_against_what_the_server_accepts(metadata: Metadata, measured: Measured):
    measured.metrics.measure()
    before = measured.value("database_connections")
    assert before
    with metadata.server.superuser() as root:
        most = root.execute("SHOW max_connections").fetchone()
        measured.database.close()  # PostgreSQL may keep a session's statistics until the transaction ends
        measured.metrics.measure()
        assert measured.value("database_connections") == before + 1
    assert most
    assert 0 < (measured.value("database_connections_max") or 0) < int(most[0])
    assert (measured.value("database_transaction_id_age") or 0) > 0


def test_what_ends_while_the_database_is_away_is_counted_afterwards(metadata: Metadata, measured: Measured):
    metadata.add_run("etl", 1, [], state="running")
    measured.metrics.measure()
    with metadata.server.superuser() as root:
        root.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'airflow-cluster-metrics'"
        )
    with pytest.raises(psycopg.Error):
        measured.metrics.measure()
    measured.database.close()
    metadata.execute("UPDATE dag_run SET state = 'failed'")
    measured.metrics.measure()
    assert measured.value("dag_runs_finished_total", dag_id="etl", state="failed") == 1


def test_the_releases_that_a_master_has_are_shown_with_their_age(tmp_path: Path):
    dag_release, file = module("airflow_node.dag_release"), MetricsFile(None)
    releases = module("cluster_metrics.releases").ReleaseMetrics(file, tmp_path)
    value = file.registry.get_sample_value
    for folder, content in {"broken": b"{", "a.b": b"{}"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "current.json").write_bytes(content)
    (tmp_path / "dags").mkdir()
    for version, published in {"1" * 64: "2026-11-20T10:00:00+00:00", "2" * 64: "2026-11-21T10:00:00+00:00"}.items():
        current = dag_release.Publication(version=version, sequence=1, published=published, by="me")
        (tmp_path / "dags/current.json").write_bytes(dag_release.Pointer(current=current).to_json())
        releases.measure()
    assert value("airflow_dag_release_info", {"bundle": "dags", "version": "2" * 64}) == 1
    assert value("airflow_dag_release_info", {"bundle": "dags", "version": "1" * 64}) is None, (
        "it is not there any more"
    )
    published_at = value("airflow_dag_release_published_timestamp_seconds", {"bundle": "dags"})
    assert published_at == datetime(2026, 11, 21, 10, tzinfo=UTC).timestamp()
    assert value("airflow_dag_release_published_timestamp_seconds", {"bundle": "broken"}) is None


def test_the_program_notifies_systemd(systemd: socket.socket, metadata: Metadata):
    settings = SETTINGS | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.url}
    library = program_path("airflow_node").parent
    path = os.pathsep.join(map(str, (library, program_path("measure-cluster").parent)))
    with subprocess.Popen(
        [sys.executable, str(program_path("measure-cluster"))],
        env=os.environ | settings | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    ) as process:
        heard = [systemd.recv(100), systemd.recv(100)]
        process.kill()
    assert heard == [b"READY=1", b"WATCHDOG=1"]


@pytest.mark.parametrize(
    ("missing"), ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"]
)
def test_a_missing_setting_is_named(missing: str):
    given = SETTINGS | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://u:p@h/d"}
    with pytest.raises(measure.boot_step.StepFailedError, match=missing):
        measure.settings({name: value for name, value in given.items() if name != missing})


def test_every_query_by_dag_or_task_uses_an_index(metadata: Metadata):
    """A table of millions of rows must not be read every half minute."""
    database = module("cluster_metrics.database")
    values = {"newest": 10, "open": [1, 2], "seconds": 300}
    with metadata.connect() as connection:
        connection.execute("SET enable_seqscan = off")
        for query in (database.QUEUES, database.OPEN_RUNS, database.ENDED_RUNS, database.ENDED_TASKS):
            plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}".encode(), values))
            assert not re.search(r"Seq Scan on (task_instance|dag_run)", plan), plan
