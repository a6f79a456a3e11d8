"""A metadata database with the tables of Airflow that the scaling service reads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.node import postgresql

SCHEMA = Path(__file__).with_name("airflow_schema.sql")
PASSWORD = "p%41@:/#?w& d'\"`$HOME\\é"
_numbers = itertools.count(1)


@dataclass
class Metadata:
    """One cluster's database on the server, and the role that Airflow uses."""

    server: postgresql.Server
    name: str = field(default_factory=lambda: f"metadata{next(_numbers)}")

    @property
    def url(self) -> str:
        """Airflow's own setting."""
        return f"postgresql+psycopg2://{self.name}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.server.port}/{self.name}"

    def create(self) -> None:
        """Create role, database and tables."""
        self.create_empty()
        with self.connect() as connection:
            connection.execute(SCHEMA.read_bytes())

    def create_empty(self) -> None:
        """Create role and database."""
        name = sql.Identifier(self.name)
        with self.server.superuser() as root:
            root.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(PASSWORD)))
            root.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))

    def connect(self) -> psycopg.Connection:
        """A connection as Airflow's role."""
        return self.server.connect(self.name, PASSWORD, self.name)

    def execute(self, statement: str, values: dict[str, object] | None = None) -> None:
        """Run a statement."""
        with self.connect() as connection:
            connection.execute(statement.encode(), values)

    def add_tasks(self, count: int, state: str, queue: str = "default", dag: str = "a", run: str = "r") -> None:
        """Add tasks of a run."""
        self.execute(
            "INSERT INTO task_instance (id, task_id, dag_id, run_id, try_number, pool, pool_slots, queue, state)"
            " SELECT gen_random_uuid(), gen_random_uuid()::text, %(dag)s, %(run)s, 1, 'default_pool', 1, %(queue)s,"
            " %(state)s FROM generate_series(1, %(count)s)",
            {"dag": dag, "run": run, "queue": queue, "state": state, "count": count},
        )

    def add_dag(self, dag: str, starts_in_seconds: float, **changes: object) -> None:
        """Add a DAG whose next run is due then."""
        columns: dict[str, object] = {
            "is_paused": False,
            "is_stale": False,
            "exceeds_max_non_backfill": False,
            "has_import_errors": False,
            "timetable_partitioned": False,
        } | changes
        self.execute(
            "INSERT INTO dag (dag_id, bundle_name, timetable_type, partition_mapper_info, max_active_tasks,"
            " max_consecutive_failed_dag_runs, has_task_concurrency_limits, next_dagrun_create_after,"
            " is_paused, is_stale, exceeds_max_non_backfill, has_import_errors, timetable_partitioned)"
            " VALUES (%(dag)s, 'dags', 'cron', '{}', 16, 0, false, now() + %(due)s * interval '1 second',"
            " %(is_paused)s, %(is_stale)s, %(exceeds_max_non_backfill)s, %(has_import_errors)s,"
            " %(timetable_partitioned)s)",
            {"dag": dag, "due": starts_in_seconds} | columns,
        )

    def add_run(
        self,
        dag: str,
        hours_ago: float,
        tasks: Sequence[Task],
        *,
        state: str = "success",
        run_type: str = "scheduled",
        has_logical_date: bool = True,
    ) -> None:
        """Add a run with tasks that have ended."""
        start = datetime.now(UTC) - timedelta(hours=hours_ago)
        run = f"{run_type}__{hours_ago}"
        self.execute(
            "INSERT INTO dag_run (dag_id, run_id, run_type, state, logical_date, run_after, start_date)"
            " VALUES (%(dag)s, %(run)s, %(type)s, %(state)s, %(logical)s, %(start)s, %(start)s)",
            {
                "dag": dag,
                "run": run,
                "type": run_type,
                "state": state,
                "logical": start if has_logical_date else None,
                "start": start,
            },
        )
        for number, task in enumerate(tasks):
            self._add_ended_task(dag, run, f"task{number}", start, task)

    def _add_ended_task(self, dag: str, run: str, name: str, start: datetime, task: Task) -> None:
        """What Airflow 3.3.2 stores about a task: one row, parts of which a resumed task overwrites, and the log."""
        at = {seconds: start + timedelta(seconds=seconds) for seconds in task.times()}
        values = {"dag": dag, "run": run, "task": name}
        self.execute(
            "INSERT INTO task_instance (id, task_id, dag_id, run_id, try_number, pool, pool_slots, queue, state,"
            " queued_dttm, start_date, end_date) VALUES (gen_random_uuid(), %(task)s, %(dag)s, %(run)s, 1,"
            " 'default_pool', 1, %(queue)s, 'success', %(queued)s, %(begin)s, %(end)s)",
            {
                **values,
                "queue": task.queue,
                "queued": at[task.queued_at],
                "begin": at[task.earlier[0][0] if task.keeps_its_start else task.begin],
                "end": at[task.end],
            },
        )
        for begin, end in (*task.earlier, (task.begin, task.end)):
            left = "success" if end == task.end else task.left
            for event, seconds in (("running", begin), (left, end)):
                self.execute(
                    "INSERT INTO log (dttm, dag_id, run_id, task_id, map_index, try_number, event)"
                    " VALUES (%(at)s, %(dag)s, %(run)s, %(task)s, -1, 1, %(event)s)",
                    {**values, "at": at[seconds], "event": event},
                )


@dataclass(frozen=True)
class Task:
    """A task of a run: seconds after the run's start.

    Attributes:
        begin: of its last stretch on a worker; for most tasks the only one.
        queued: when it was queued for that; at its begin if None.
        earlier: (begin, end) of stretches before.
        left: the state in which it left its worker before the last stretch.
    """

    begin: float
    end: float
    queue: str = "default"
    queued: float | None = None
    earlier: Sequence[tuple[float, float]] = ()
    left: str = "deferred"

    @property
    def queued_at(self) -> float:
        """When it was queued for its last stretch."""
        return self.begin if self.queued is None else self.queued

    @property
    def keeps_its_start(self) -> bool:
        """Whether Airflow leaves its start date alone when it resumes."""
        return bool(self.earlier) and self.left == "deferred"

    def times(self) -> set[float]:
        """All times of the timer."""
        return {self.begin, self.end, self.queued_at, *(time for stretch in self.earlier for time in stretch)}
