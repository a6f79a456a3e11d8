"""The services of a master, by the kind of liveness signal that each of them gives."""

from __future__ import annotations

from dataclasses import dataclass

JOB_TYPES = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
"""Services that write heartbeats to the metadata database, with Airflow's names for their jobs."""
API_SERVER = "api-server"
"""Its signal is the response to a request."""
NOTIFYING = ("scaling", "lost-tasks")
"""Services whose signal is the notification to systemd's watchdog."""
NAMES = (API_SERVER, *JOB_TYPES, *NOTIFYING)


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service, and after how many seconds without a liveness signal it counts as unhealthy."""

    name: str
    threshold: float

    @property
    def unit(self) -> str:
        """Its systemd unit."""
        return unit(self.name)


def unit(name: str) -> str:
    """The systemd unit of a service."""
    return f"airflow-{name}.service"
