"""Work for the cluster: tasks of a chosen kind, length and queue, and how they ended."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lab import execution_log
from lab.airflow_api import AirflowApi
from lab.cluster import Cluster

UNFINISHED = frozenset({None, "scheduled", "queued", "running", "restarting", "up_for_retry", "deferred"})
COLUMNS = (
    "run_id, dag_id, state, try_number, coalesce(hostname, ''), queued_dttm, start_date, end_date,"
    " external_executor_id IS NOT NULL"
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task as the metadata database has it now.

    Attributes:
        run: the name of its run, by which it was started.
        state: Airflow's state; None before the scheduler has seen it.
        address: the address of the worker that runs it or ran its last try; empty before that.
        sent: whether the broker has been given its message.
    """

    run: str
    dag: str
    state: str | None
    tries: int
    address: str
    queued: datetime | None
    started: datetime | None
    ended: datetime | None
    sent: bool

    @property
    def kind(self) -> str:
        """`python`, `bash`, `asking`, `greedy` or `daemons`."""
        return self.dag.partition("_")[0]


@dataclass(frozen=True, kw_only=True)
class Try:
    """A try that was not a task's last."""

    run: str
    number: int
    address: str
    ended: datetime | None


class Workload:
    """Starts tasks of the DAGs in `load.py` and follows them."""

    def __init__(self, cluster: Cluster, api: AirflowApi, *, name: str) -> None:
        """The names of all runs start with `name`, which no other workload in the same database may have."""
        self._cluster = cluster
        self._api = api
        self._names = (f"{name}-{number:04}" for number in itertools.count(1))
        self._known: set[str] = set()

    def start(
        self, queue: str, seconds: int, *, number: int = 1, kind: str = "python", again: int | None = None
    ) -> list[str]:
        """Start `number` tasks; returns the names of their runs.

        `again` is how long each later try takes, in seconds; by default as long as the first.
        """
        dag = f"{kind}_{queue}"
        if dag not in self._known:
            self._api.wait_for_dag(dag)
            self._known.add(dag)
        conf = {"seconds": seconds} | ({} if again is None else {"again": again})
        return [self._api.trigger(dag, conf, run_id=next(self._names)) for _ in range(number)]

    def release(self, runs: Collection[str]) -> None:
        """End the tasks of these runs within a second or two, although they would take longer."""
        files = [f"/var/lib/airflow/released-{run}" for run in runs]
        for worker in self._cluster.nodes(role="worker"):
            worker.exec("touch", *files)

    def tasks(self, runs: Collection[str]) -> list[Task]:
        """The tasks of these runs, as far as the scheduler has seen them."""
        query = f"SELECT {COLUMNS} FROM task_instance WHERE run_id IN ({_names(runs)}) ORDER BY run_id"  # noqa: S608
        return [_task(row) for row in self._cluster.psql(query)]

    def earlier_tries(self, runs: Collection[str]) -> list[Try]:
        """The tries of these runs that were followed by another."""
        columns = "run_id, try_number, coalesce(hostname, ''), end_date"
        query = f"SELECT {columns} FROM task_instance_history WHERE run_id IN ({_names(runs)}) ORDER BY run_id"  # noqa: S608
        return [
            Try(run=run, number=number, address=address, ended=ended)
            for run, number, address, ended in self._cluster.psql(query)
        ]

    def wait(self, runs: Collection[str], until: Callable[[Task], bool], what: str) -> list[Task]:
        """Wait until the condition holds for every task of these runs, and return them.

        TimeoutError lists them as they are when `Cluster.wait` gives up.
        """
        if not runs:
            return []

        def all_so() -> list[Task]:
            found = self.tasks(runs)
            return found if len(found) == len(runs) and all(map(until, found)) else []

        try:
            return self._cluster.wait(all_so, what)
        except TimeoutError as late:
            raise TimeoutError(f"{late}. The tasks:\n{describe(self.tasks(runs))}") from None

    def wait_running(self, runs: Collection[str]) -> list[Task]:
        """Wait until each of them runs on a worker and its code has begun: Airflow reports that seconds too early."""
        s3, bucket = self._cluster.boto3("s3"), self._cluster.recording.exports["buckets"]["taskLogs"]
        tasks = self.wait(runs, lambda task: task.state == "running" and bool(task.address), "to run")
        tries = {(task.run, task.tries) for task in tasks}
        self._cluster.wait(
            lambda: tries <= {(entry.run_id, entry.try_number) for entry in execution_log.read(s3, bucket)},
            f"{len(tries)} tasks to be at work",
        )
        return tasks

    def wait_ended(self, runs: Collection[str]) -> list[Task]:
        """Wait until all of them have ended and none will be retried."""
        return self.wait(runs, lambda task: task.state not in UNFINISHED, "to end")


def describe(tasks: Iterable[Task]) -> str:
    """A line for each task."""
    return "\n".join(
        f"  {task.run} {task.dag}: {task.state}, try {task.tries}, on {task.address or 'no worker'},"
        f" queued {_clock(task.queued)}, started {_clock(task.started)}, ended {_clock(task.ended)}"
        for task in tasks
    )


def _names(runs: Iterable[str]) -> str:
    """A list in SQL, which must not be empty. The names need no quoting, because this module makes them."""
    return ", ".join(f"'{run}'" for run in runs) or "NULL"


def _clock(moment: datetime | None) -> str:
    return f"{moment:%H:%M:%S}" if moment else "never"


def _task(row: tuple[Any, ...]) -> Task:
    run, dag, state, tries, address, queued, started, ended, sent = row
    return Task(
        run=run,
        dag=dag,
        state=state,
        tries=tries,
        address=address,
        queued=queued,
        started=started,
        ended=ended,
        sent=sent,
    )
