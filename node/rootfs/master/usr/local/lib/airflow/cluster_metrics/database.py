"""Reads the cluster's figures from the metadata database, each by an index or from a small table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from airflow_node.postgresql import KeptConnection
from scaling.metadata_database import connect

QUEUES = """
    SELECT coalesce(queue, ''), count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'running'),
        coalesce(max(extract(epoch FROM now() - queued_dttm)) FILTER (WHERE state = 'queued'), 0)
    FROM task_instance WHERE state IN ('queued', 'running') GROUP BY 1 ORDER BY 2 DESC, 3 DESC
"""
# Two queries, because the indexes are one for each of the states.
OPEN_RUNS = """
    SELECT id, dag_id, state FROM dag_run WHERE state = 'running'
    UNION ALL SELECT id, dag_id, state FROM dag_run WHERE state = 'queued'
"""
NEWEST_RUN = "SELECT coalesce(max(id), 0) FROM dag_run"
ENDED_RUNS = """
    SELECT dag_id, state FROM dag_run WHERE (id > %(newest)s OR id = ANY(%(open)s)) AND state IN ('success', 'failed')
"""
# Airflow notes a heartbeat when a task starts, and then every few seconds. A task whose worker is lost fails when its
# last heartbeat is too old, and has no later one. A task that is tried again, or cleared, becomes a row with a new id.
ENDED_TASKS = """
    SELECT id, dag_id, state FROM task_instance
    WHERE last_heartbeat_at > now() - make_interval(secs => %(seconds)s)
      AND state IN ('success', 'failed', 'up_for_retry', 'skipped')
"""
DAGS = "SELECT dag_id FROM dag WHERE NOT is_stale ORDER BY is_paused, dag_id"
IMPORT_ERRORS = "SELECT coalesce(bundle_name, ''), count(*) FROM import_error GROUP BY 1"
PARSES = """
    SELECT bundle_name, extract(epoch FROM now() - min(last_parsed_time)) FROM dag
    WHERE NOT is_stale AND last_parsed_time IS NOT NULL GROUP BY 1
"""
DEADLINES = """
    SELECT dag_run.dag_id, count(*) FROM deadline JOIN dag_run ON dag_run.id = deadline.dagrun_id
    WHERE deadline.missed AND deadline.deadline_time > now() - interval '1 day' GROUP BY 1
"""
# pg_stat_activity shows other roles' sessions only in part; pg_stat_database counts all of them.
SERVER = """
    SELECT (SELECT sum(numbackends) FROM pg_stat_database),
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true)::int, 0),
        (SELECT max(age(datfrozenxid)) FROM pg_database)
"""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The tasks of a Celery queue, and for how many seconds the oldest of the queued ones has been queued."""

    queued: int
    running: int
    oldest_seconds: float


@dataclass(frozen=True, kw_only=True)
class Server:
    """The database server: connections in use, those that roles without privileges may use, and the age of the oldest
    transaction id, which must stay below two billion."""

    connections: int
    most_connections: int
    transaction_id_age: int


@dataclass(frozen=True, kw_only=True)
class ClusterFigures:
    """One look at the database.

    Attributes:
        queues: by name.
        open_runs: the DAG and the state of each run that has not ended, by the run's id.
        newest_run: the highest id of a run.
        ended_runs: the DAG and the state of each run that has ended since the look before.
        ended_tasks: the DAG and the state of the task tries that have ended lately, by their id.
        dags: the DAGs that exist, the active ones first.
        import_errors: number of files that cannot be imported, by bundle.
        parse_seconds: how long ago the DAG was parsed whose last parse is the oldest, by bundle.
        missed_deadlines: missed deadlines of the last day, by DAG.
    """

    queues: Mapping[str, Queue]
    open_runs: Mapping[int, tuple[str, str]]
    newest_run: int
    ended_runs: Sequence[tuple[str, str]]
    ended_tasks: Mapping[Any, tuple[str, str]]
    dags: tuple[str, ...]
    import_errors: Mapping[str, int]
    parse_seconds: Mapping[str, float]
    missed_deadlines: Mapping[str, int]
    server: Server


class ClusterDatabase:
    """Reads; cannot write. Every error is a `psycopg.Error`; the next call connects again."""

    def __init__(self, conninfo: str, *, heartbeat_timeout: float) -> None:
        """`heartbeat_timeout`: after so many seconds without a heartbeat, Airflow fails a task."""
        self._kept = KeptConnection(lambda: _connect(conninfo))
        # The scheduler looks for such tasks every few seconds, or later if it is busy.
        self._heartbeat_seconds = heartbeat_timeout + 120

    def read(self, before: ClusterFigures | None) -> ClusterFigures:
        """The figures of one moment. `before`: those of the look before; None if there was none."""
        connection = self._kept.get()
        with connection.transaction():
            return self._read(connection, before)

    def close(self) -> None:
        """Close the connection."""
        self._kept.close()

    def _read(self, connection: psycopg.Connection, before: ClusterFigures | None) -> ClusterFigures:
        connections, most, age = connection.execute(SERVER).fetchone() or (0, 0, 0)
        return ClusterFigures(
            queues={
                name: Queue(queued=queued, running=running, oldest_seconds=float(seconds))
                for name, queued, running, seconds in connection.execute(QUEUES)
            },
            newest_run=(connection.execute(NEWEST_RUN).fetchone() or (0,))[0],
            open_runs={run: (dag, state) for run, dag, state in connection.execute(OPEN_RUNS)},
            ended_runs=_ended_runs(connection, before) if before else [],
            ended_tasks={
                task: (dag, state)
                for task, dag, state in connection.execute(ENDED_TASKS, {"seconds": self._heartbeat_seconds})
            },
            dags=tuple(dag for (dag,) in connection.execute(DAGS)),
            import_errors=dict(connection.execute(IMPORT_ERRORS).fetchall()),
            parse_seconds={bundle: float(seconds) for bundle, seconds in connection.execute(PARSES)},
            missed_deadlines=dict(connection.execute(DEADLINES).fetchall()),
            server=Server(connections=int(connections), most_connections=most, transaction_id_age=age),
        )


def _ended_runs(connection: psycopg.Connection, before: ClusterFigures) -> list[tuple[str, str]]:
    values = {"newest": before.newest_run, "open": list(before.open_runs)}
    return [(dag, state) for dag, state in connection.execute(ENDED_RUNS, values)]


def _connect(conninfo: str) -> psycopg.Connection:
    connection = connect(conninfo, name="airflow-cluster-metrics")
    # All queries of a look see the same moment, so each end is in exactly one look.
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return connection
