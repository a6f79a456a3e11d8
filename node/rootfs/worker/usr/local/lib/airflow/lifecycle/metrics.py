"""A worker's metrics and the report about its health, for the stack's monitor."""

from __future__ import annotations

from airflow_node.health_report import HealthReport
from airflow_node.metrics_file import MetricsFile
from airflow_node.worker_registry import WorkerState
from prometheus_client import Counter, Gauge

from lifecycle.actions import Kind
from lifecycle.observation import Observation, RegistrySnapshot

ENDING = (WorkerState.LEAVING, WorkerState.DRAINING, WorkerState.ENDED)


class WorkerMetrics:
    """What `manage-lifecycle` has observed and done."""

    def __init__(self, file: MetricsFile, *, slots: int) -> None:
        self._report = HealthReport(file)
        self._state = Gauge(
            "airflow_worker_state", "1 for the state that the worker is in", ["state"], registry=file.registry
        )
        Gauge("airflow_worker_slots", "Tasks that the worker runs at a time", registry=file.registry).set(slots)
        self._active = Gauge(
            "airflow_worker_active_tasks", "Tasks that the worker runs or has reserved", registry=file.registry
        )
        self._idle = Gauge("airflow_worker_idle_seconds", "How long it has had no task", registry=file.registry)
        self._actions = Counter(
            "airflow_worker_actions", "What the lifecycle service has done", ["action"], registry=file.registry
        )
        for kind in Kind:
            self._actions.labels(kind.value)

    def serve(self) -> None:
        """Answer requests about the node's health on this machine. OSError if another program uses the port."""
        self._report.serve()

    def count(self, kind: Kind) -> None:
        """Count an action."""
        self._actions.labels(kind.value).inc()

    def show(
        self, seen: Observation, registry: RegistrySnapshot, *, state: WorkerState, problem: str | None, idle: float
    ) -> None:
        """Show a pass. `problem`: why the worker does not consume, or why tasks would fail on it."""
        for each in WorkerState:
            self._state.labels(each.value).set(each is state)
        load = seen.running if seen.load is None else seen.load
        self._active.set(load or 0)
        self._idle.set(idle)
        if problem is None and state not in ENDING and not seen.is_ready:
            problem = "the worker does not report"
        short = "; ".join(str(each) for each in seen.resources if each.free < each.reserve)
        self._report.show({"worker": problem, "broker": registry.problem, "resources": short or None})
