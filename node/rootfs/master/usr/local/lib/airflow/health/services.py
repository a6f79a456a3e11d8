"""The services of a master, by the kind of liveness signal that each of them gives."""

from __future__ import annotations

import http.client
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


def api_server_answers(port: int, timeout: float) -> bool:
    """Whether the api-server of this node answers a request like those of tasks within `timeout` seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/execution/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
