"""The cluster's metrics for Prometheus. Those by DAG and by queue have a bounded number of series."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping

from airflow_node.metrics_file import MetricsFile
from prometheus_client import Counter, Gauge

from cluster_metrics.database import ClusterDatabase, ClusterFigures

MOST_DAGS = 200
MOST_QUEUES = 50
OTHER = "(other)"
"""Stands for all DAGs, or queues, beyond the limit. No DAG can have this name."""
RUN_STATES = ("success", "failed")
TASK_STATES = ("success", "failed", "up_for_retry", "skipped")


class Names:
    """The first names that were seen keep a series of their own."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def label(self, name: str) -> str:
        """The name, or OTHER."""
        if name not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(name)
        return name


class ClusterMetrics:
    """Counts what has ended since the program started, and shows the rest as it is."""

    def __init__(self, database: ClusterDatabase, file: MetricsFile) -> None:
        self._database, self._file = database, file
        self._dags, self._queues = Names(MOST_DAGS), Names(MOST_QUEUES)
        self._before: ClusterFigures | None = None
        self._queue_tasks = self._gauge("airflow_queue_tasks", "Tasks by Celery queue", "queue", "state")
        self._oldest = self._gauge(
            "airflow_queue_oldest_task_age_seconds", "How long the queue's oldest queued task has been queued", "queue"
        )
        self._runs = self._gauge("airflow_dag_runs", "DAG runs that have not ended", "dag_id", "state")
        self._runs_ended = self._counter("airflow_dag_runs_finished", "DAG runs that have ended")
        self._tasks_ended = self._counter("airflow_tasks_finished", "Tries of tasks that have ended")
        self._deadlines = self._gauge("airflow_deadlines_missed", "Missed deadlines of the last 24 hours", "dag_id")
        self._import_errors = self._gauge(
            "airflow_dag_import_errors", "DAG files that cannot be imported, by bundle", "bundle"
        )
        self._parsed = self._gauge(
            "airflow_dag_last_parse_age_seconds", "How long ago the DAG was parsed that waits longest for it", "bundle"
        )
        self._connections = self._gauge("airflow_database_connections", "Connections to the database server")
        self._most_connections = self._gauge(
            "airflow_database_connections_max", "Connections that the database server accepts from the cluster"
        )
        self._age = self._gauge(
            "airflow_database_transaction_id_age", "Age of the oldest transaction id, in transactions"
        )
        self._computed = self._gauge("airflow_cluster_metrics_timestamp_seconds", "When these figures were computed")

    def measure(self) -> None:
        """Look once. Raises psycopg.Error; the next look also counts what has ended meanwhile."""
        before = self._before
        figures = self._database.read(before)
        if before is None:
            self._begin(figures)
        else:
            self._count(self._runs_ended, figures.ended_runs)
            new = figures.ended_tasks.keys() - before.ended_tasks.keys()
            self._count(self._tasks_ended, (figures.ended_tasks[task] for task in new))
        self._before = figures
        self._show(figures)
        self._computed.set_to_current_time()
        self._file.write()

    def _begin(self, figures: ClusterFigures) -> None:
        """Start all counters at zero, so that the first failure of a DAG is an increase."""
        for dag in figures.dags[:MOST_DAGS]:
            for counter, states in ((self._runs_ended, RUN_STATES), (self._tasks_ended, TASK_STATES)):
                for state in states:
                    counter.labels(self._dags.label(dag), state)

    def _count(self, counter: Counter, ended: Iterable[tuple[str, str]]) -> None:
        for dag, state in ended:
            counter.labels(self._dags.label(dag), state).inc()

    def _show(self, figures: ClusterFigures) -> None:
        self._show_queues(figures)
        runs: Tally[tuple[str, ...]] = Tally(
            (self._dags.label(dag), state) for dag, state in figures.open_runs.values()
        )
        missed: Tally[tuple[str, ...]] = Tally()
        for dag, count in figures.missed_deadlines.items():
            missed[(self._dags.label(dag),)] += count
        # A bundle without an error has a zero, not nothing.
        errors = dict.fromkeys(figures.parse_seconds, 0) | dict(figures.import_errors)
        _replace(self._runs, runs)
        _replace(self._deadlines, missed)
        _replace(self._import_errors, {(bundle,): count for bundle, count in errors.items()})
        _replace(self._parsed, {(bundle,): seconds for bundle, seconds in figures.parse_seconds.items()})
        self._connections.set(figures.server.connections)
        self._most_connections.set(figures.server.most_connections)
        self._age.set(figures.server.transaction_id_age)

    def _show_queues(self, figures: ClusterFigures) -> None:
        tasks: Tally[tuple[str, ...]] = Tally()
        oldest: dict[tuple[str, ...], float] = {}
        for name, queue in figures.queues.items():
            label = self._queues.label(name)
            tasks[(label, "queued")] += queue.queued
            tasks[(label, "running")] += queue.running
            oldest[(label,)] = max(queue.oldest_seconds, oldest.get((label,), 0.0))
        _replace(self._queue_tasks, tasks)
        _replace(self._oldest, oldest)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self._file.registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, ["dag_id", "state"], registry=self._file.registry)


def _replace(gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
    """Set these series, and remove all others."""
    gauge.clear()
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
