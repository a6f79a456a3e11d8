"""The services of a master, and what each of them gives as a sign of life."""

from __future__ import annotations

from dataclasses import dataclass

JOB_TYPES = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
"""Services that write heartbeats to the metadata database, with Airflow's names for their jobs."""
API_SERVER = "api-server"
"""Answers calls."""
NOTIFYING = ("scaling", "lost-tasks")
"""Services that notify systemd's watchdog."""
NAMES = (API_SERVER, *JOB_TYPES, *NOTIFYING)


@dataclass(frozen=True, kw_only=True)
class Service:
    """One of the services, and how many seconds it may be without a sign of life."""

    name: str
    threshold: float

    @property
    def unit(self) -> str:
        """Its systemd unit."""
        return unit(self.name)


def unit(name: str) -> str:
    """The systemd unit of a service."""
    return f"airflow-{name}.service"
