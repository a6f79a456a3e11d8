"""What the nightly clean-up deletes, and what it keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lab.cluster import Cluster

RESULTS = "celery_results"
# A DAG that was deleted more than a year ago, with a run that is still kept: Airflow's clean-up would fail on it if it
# included the table of DAGs.
DAG = """
    INSERT INTO dag (dag_id, is_paused, is_stale, bundle_name, timetable_type, partition_mapper_info, max_active_tasks,
        max_consecutive_failed_dag_runs, has_task_concurrency_limits, last_parsed_time)
    VALUES ('history', true, true, 'dags', 'none', '{}', 16, 0, false, now() - interval '400 days') RETURNING 1
"""
VERSION = """
    INSERT INTO dag_version (id, version_number, dag_id, bundle_name, created_at, last_updated)
    VALUES (md5('history')::uuid, 1, 'history', 'dags', now() - interval '400 days', now()) RETURNING 1
"""
RUNS = """
    INSERT INTO dag_run (dag_id, run_id, run_type, state, start_date, run_after, created_dag_version_id)
    SELECT 'history', run, 'manual', 'success', now() - days * interval '1 day', now(), md5('history')::uuid
    FROM (VALUES ('old', 366), ('new', 364)) AS runs (run, days) RETURNING 1
"""
TASKS = """
    INSERT INTO task_instance (id, task_id, dag_id, run_id, try_number, pool, pool_slots, state, start_date,
        dag_version_id)
    SELECT gen_random_uuid(), 'task', dag_id, run_id, 1, 'default_pool', 1, 'success', start_date, md5('history')::uuid
    FROM dag_run WHERE dag_id = 'history' RETURNING 1
"""
LOG = """
    INSERT INTO log (dttm, event, dag_id, run_id)
    SELECT start_date, 'success', dag_id, run_id FROM dag_run WHERE dag_id = 'history' RETURNING 1
"""
RESULT_ROWS = """
    INSERT INTO celery_taskmeta (id, task_id, status, date_done)
    SELECT nextval('task_id_sequence'), task, 'SUCCESS', now() - days * interval '1 day'
    FROM (VALUES ('old', 8), ('new', 6)) AS results (task, days) RETURNING 1
"""


@pytest.fixture
def history(cluster: Cluster) -> Iterator[None]:
    """Rows that are just old enough to be deleted, and rows that are not."""
    for statement in (DAG, VERSION, RUNS, TASKS, LOG):
        cluster.psql(statement)
    cluster.psql(RESULT_ROWS, database=RESULTS)
    yield
    for table in ("dag_run", "log", "dag_version", "dag"):
        cluster.psql(f"DELETE FROM {table} WHERE dag_id = 'history' RETURNING 1")  # noqa: S608
    cluster.psql("DELETE FROM celery_taskmeta WHERE task_id IN ('old', 'new') RETURNING 1", database=RESULTS)


@pytest.mark.usefixtures("history")
def test_the_nightly_clean_up_deletes_old_rows_and_keeps_newer_ones(cluster: Cluster) -> None:
    [master, *_] = cluster.nodes(role="master")
    assert "airflow-cleanup.timer" in master.exec("systemctl list-timers --no-legend").stdout
    tasks = cluster.psql("SELECT count(*) FROM task_instance")[0][0]
    started = master.exec("systemctl", "start", "airflow-cleanup.service", timeout=600)
    assert started.returncode == 0, master.journal("airflow-cleanup.service")
    cluster.wait(lambda: "rows deleted: " in master.journal("airflow-cleanup.service"), "the log to count the rows")
    said = master.journal("airflow-cleanup.service")
    assert "rows deleted: celery_taskmeta 1, dag_run 1, " in said, said
    for table in ("dag_run", "task_instance", "log"):
        assert cluster.psql(f"SELECT run_id FROM {table} WHERE dag_id = 'history'") == [("new",)]  # noqa: S608
    assert cluster.psql("SELECT count(*) FROM task_instance")[0][0] >= tasks - 1, "what the tests have run stays"
    results = "SELECT task_id FROM celery_taskmeta WHERE task_id IN ('old', 'new')"
    assert cluster.psql(results, database=RESULTS) == [("new",)]
    assert cluster.psql("SELECT relname FROM pg_class WHERE relname LIKE '%airflow_deleted%'") == []
    assert not re.search("will be skipped|Skipping", said), "Airflow does not know a table that it is told to clean"
