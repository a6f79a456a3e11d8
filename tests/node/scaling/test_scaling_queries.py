"""The scaling service's queries on a metadata database with the rows of years."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg

from tests.node import metadata as rows
from tests.node import postgresql
from tests.node.programs import module

demand = module("scaling.demand")
due_runs = module("scaling.due_runs")

DAGS, RUNS, TASKS = 200, 500, 10
MOST_SECONDS = 1.0
KEYS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = 'task_instance'::regclass AND contype IN ('p', 'u')
"""


def fill(connection: psycopg.Connection) -> None:
    """A million tasks that have ended, and a few thousand others. Keys and indexes come last, which is faster."""
    statements = rows.SCHEMA.read_text().split(";")
    for statement in statements:
        if "CREATE TABLE" in statement:
            connection.execute(statement.encode())
    keys = connection.execute(KEYS).fetchall()
    for name, _ in keys:
        connection.execute(f"ALTER TABLE task_instance DROP CONSTRAINT {name}".encode())
    sizes = {"dags": DAGS, "runs": RUNS, "tasks": TASKS, "logged": RUNS // 10}
    connection.execute(
        "INSERT INTO dag_run (dag_id, run_id, run_type, state, logical_date, run_after, start_date)"
        " SELECT 'dag_' || d, 'scheduled__' || r, 'scheduled', CASE r %% 9 WHEN 0 THEN 'failed' ELSE 'success' END,"
        " now() - r * interval '1 hour', now() - r * interval '1 hour', now() - r * interval '1 hour'"
        " FROM generate_series(1, %(dags)s) d, generate_series(1, %(runs)s) r",
        sizes,
    )
    connection.execute(
        "INSERT INTO task_instance (id, task_id, dag_id, run_id, try_number, pool, pool_slots, queue, state,"
        " queued_dttm, start_date, end_date)"
        " SELECT gen_random_uuid(), 'task_' || t, 'dag_' || d, 'scheduled__' || r, 1, 'default_pool', 1,"
        " 'queue_' || t %% 3, CASE r %% 50 WHEN 0 THEN 'failed' ELSE 'success' END, now() - r * interval '1 hour',"
        " now() - r * interval '1 hour', now() - r * interval '1 hour' + interval '1 minute'"
        " FROM generate_series(1, %(dags)s) d, generate_series(1, %(runs)s) r, generate_series(1, %(tasks)s) t",
        sizes,
    )
    connection.execute(
        "INSERT INTO log (dttm, dag_id, run_id, task_id, map_index, try_number, event)"
        " SELECT now() - r * interval '1 hour' + e.minutes * interval '1 minute', 'dag_' || d, 'scheduled__' || r,"
        " 'task_' || t, -1, 1, e.event FROM (VALUES (0, 'running'), (1, 'success')) AS e (minutes, event),"
        " generate_series(1, %(dags)s) d, generate_series(1, %(logged)s) r, generate_series(1, %(tasks)s) t",
        sizes,
    )
    for state, count in {"running": 400, "queued": 600, "scheduled": 3000}.items():
        connection.execute(
            "INSERT INTO task_instance (id, task_id, dag_id, run_id, try_number, pool, pool_slots, queue, state)"
            " SELECT gen_random_uuid(), %(state)s || t, 'dag_1', 'now', 1, 'default_pool', 1, 'queue_' || t %% 3,"
            " %(state)s FROM generate_series(1, %(count)s) t",
            {"state": state, "count": count},
        )
    connection.execute(
        "INSERT INTO dag (dag_id, bundle_name, timetable_type, partition_mapper_info, max_active_tasks, is_paused,"
        " max_consecutive_failed_dag_runs, has_task_concurrency_limits, is_stale, next_dagrun_create_after)"
        " SELECT 'dag_' || d, 'dags', 'cron', '{}', 16, false, 0, false, false, now() + interval '100 seconds'"
        " FROM generate_series(1, %(dags)s) d",
        sizes,
    )
    for name, definition in keys:
        connection.execute(f"ALTER TABLE task_instance ADD CONSTRAINT {name} {definition}".encode())
    for statement in statements:
        if "CREATE INDEX" in statement:
            connection.execute(statement.encode())
    connection.execute("ANALYZE")


class Explained:
    """A connection that keeps the plan of each query that it runs."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self.plans: list[dict[str, Any]] = []

    def execute(self, query: str, values: dict[str, Any] | None = None) -> Any:
        answer = self._connection.execute(f"EXPLAIN (FORMAT JSON) {query}".encode(), values).fetchone()
        assert answer is not None
        self.plans.append(answer[0][0]["Plan"])
        return self._connection.execute(query.encode(), values)


def scans(plan: dict[str, Any]) -> set[tuple[str, str]]:
    """(kind, table) of every scan in a plan."""
    found = {(plan["Node Type"], plan["Relation Name"])} if "Relation Name" in plan else set()
    return found.union(*(scans(child) for child in plan.get("Plans", [])))


def test_no_query_reads_a_whole_table_of_a_million_tasks(server: postgresql.Server):
    database = rows.Metadata(server)
    database.create_empty()
    with database.connect() as connection:
        fill(connection)
        explained = Explained(connection)
        seconds = {}
        for name, read in {
            "demand": lambda: demand.read_demand(explained),
            "schedule": lambda: due_runs.DueRuns().read(explained, 180),
        }.items():
            started = time.monotonic()
            found = read()
            seconds[name] = time.monotonic() - started
            assert found
    large = {("Seq Scan", "task_instance"), ("Seq Scan", "dag_run"), ("Seq Scan", "log")}
    assert len(explained.plans) == 4
    for plan in explained.plans:
        assert not scans(plan) & large, json.dumps(plan, indent=1)
    assert max(seconds.values()) < MOST_SECONDS
