"""The scaling service's metrics for Prometheus: values of this master's last pass."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_node.worker_registry import UNKNOWN, WorkerState
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from scaling.launch_groups import LaunchGroup
from scaling.observation import PoolObservation
from scaling.scaler import Decision

ADDRESS = "127.0.0.1"
PORT = 9105


class ScalingMetrics:
    """The service's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.desired = self._pool_gauge("airflow_pool_desired_workers", "Desired capacity of the pool's group")
        self.needed = self._pool_gauge("airflow_pool_needed_workers", "Workers that the pool's tasks need")
        self.in_service = self._pool_gauge("airflow_pool_in_service_workers", "Instances in service")
        self.maximum = self._pool_gauge("airflow_pool_maximum_workers", "Largest size of the pool's group")
        self.running = self._pool_gauge("airflow_pool_running_tasks", "Tasks that run")
        self.queued = self._pool_gauge("airflow_pool_queued_tasks", "Tasks that wait for a worker")
        self.expected = self._pool_gauge("airflow_pool_expected_tasks", "Tasks that the schedule lets expect soon")
        self.cordoned = self._pool_gauge("airflow_pool_retired_workers", "Workers that are cordoned")
        self.not_consuming = self._pool_gauge(
            "airflow_pool_not_consuming_workers", "Workers that should take tasks and do not"
        )
        self.unavailable = self._pool_gauge(
            "airflow_pool_unavailable_workers", "Workers that take no tasks because they would fail there"
        )
        self.workers = Gauge(
            "airflow_pool_workers",
            "Workers by the state that they report; unknown: a state of another release",
            ["pool", "state"],
            registry=self.registry,
        )
        self.boot_seconds = self._pool_gauge(
            "airflow_pool_boot_seconds", "How long the boots of the pool's workers take, as scaling reckons with them"
        )
        self.launch_failing = self._pool_gauge("airflow_pool_launch_failing", "1 while the group's launches fail")
        self.raises = Counter(
            "airflow_pool_raises", "Times that the desired capacity was raised", ["pool", "why"], registry=self.registry
        )
        self.unserved = Gauge(
            "airflow_unserved_queue_tasks",
            "Tasks that wait in a queue that no pool consumes",
            ["queue"],
            registry=self.registry,
        )
        self.passes = Counter(
            "airflow_scaling_passes",
            "Passes; skipped: another master had its turn; left: to the masters of another generation",
            ["outcome"],
            registry=self.registry,
        )
        self.errors = Counter("airflow_scaling_errors", "Failures, by what failed", ["what"], registry=self.registry)
        self.registry_faults = Gauge(
            "airflow_worker_board_ignored_entries",
            "Entries of the worker registry that are ignored",
            registry=self.registry,
        )
        self.pass_seconds = Gauge("airflow_scaling_pass_seconds", "How long the last pass took", registry=self.registry)
        self.last_pass = Gauge(
            "airflow_scaling_last_pass_timestamp_seconds", "When the last pass ended", registry=self.registry
        )

    def serve(self) -> None:
        """Serve the metrics on this machine only. OSError if another program uses the port."""
        start_http_server(PORT, addr=ADDRESS, registry=self.registry)

    def show_pool(
        self,
        pool: str,
        group: LaunchGroup,
        found: PoolObservation,
        decision: Decision,
        desired: int,
        launch_failure: str | None,
    ) -> None:
        """Set the metrics of a pool: what was observed, and what was decided."""
        figures = {
            self.desired: desired,
            self.needed: decision.needed,
            self.in_service: len(group.in_service),
            self.maximum: group.sizes.maximum,
            self.running: found.running,
            self.queued: found.queued,
            self.expected: found.expected,
            self.cordoned: len(decision.cordon),
            self.not_consuming: found.count_by_state().get(WorkerState.NOT_CONSUMING, 0),
            self.unavailable: found.count_by_state().get(WorkerState.UNAVAILABLE, 0),
            self.launch_failing: int(launch_failure is not None),
        }
        for gauge, value in figures.items():
            gauge.labels(pool).set(value)
        # Tasks can forge reports: each state that is not ours would be another series.
        by_state = dict.fromkeys((*WorkerState, UNKNOWN), 0)
        for worker in found.workers:
            by_state[worker.state if worker.state in by_state else UNKNOWN] += 1
        for state, count in by_state.items():
            self.workers.labels(pool, state).set(count)
        if found.boot_seconds is not None:
            self.boot_seconds.labels(pool).set(found.boot_seconds)

    def show_unserved(self, tasks: Mapping[str, int]) -> None:
        """Set the metrics of these queues, and remove those of all others: DAGs can name any queue."""
        self.unserved.clear()
        for queue, count in tasks.items():
            self.unserved.labels(queue).set(count)

    def _pool_gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["pool"], registry=self.registry)
