"""The metrics of the search for lost tasks, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_node.metrics_file import MetricsFile
from prometheus_client import Counter, Gauge

from lost_tasks.search import LostTask, Whereabouts


class LostTaskMetrics:
    """What this master's search has found since its start. Another master's search may find the same task."""

    def __init__(self, file: MetricsFile) -> None:
        self._file = file
        self._requeued = Counter(
            "airflow_lost_tasks_requeued",
            "Tasks that were queued again, by where their message was",
            ["message"],
            registry=file.registry,
        )
        for whereabouts in (Whereabouts.GONE, Whereabouts.TAKEN):
            self._requeued.labels(whereabouts.name.lower())
        self._last_pass = Gauge(
            "airflow_lost_tasks_last_pass_timestamp_seconds",
            "When the queued tasks and the broker's messages were last compared",
            registry=file.registry,
        )
        self._unread = Gauge(
            "airflow_lost_tasks_unread_keys",
            "Queues and lists of the broker that cannot be read",
            registry=file.registry,
        )

    def show(self, requeued: Iterable[LostTask], *, unread: int) -> None:
        """Show a pass that has compared them."""
        for lost in requeued:
            self._requeued.labels(lost.whereabouts.name.lower()).inc()
        self._unread.set(unread)
        self._last_pass.set_to_current_time()
        self._file.write()
