"""The units of a master's services, through systemd."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_node import systemd
from airflow_node.systemd import SystemdError

from health.services import Service
from health.verdict import Unit

PROPERTIES = ("ActiveState", "ActiveEnterTimestampMonotonic", "NRestarts", "WatchdogTimestampMonotonic")
TIMEOUT_SECONDS = 10.0


def look(services: Sequence[Service]) -> dict[str, Unit]:
    """Each service's unit, by the service's name. Raises SystemdError if systemd does not show all of them."""
    units = [service.unit for service in services]
    shown = systemd.show(*units, properties=PROPERTIES, timeout_seconds=TIMEOUT_SECONDS)
    try:
        return {service.name: _unit(properties) for service, properties in zip(services, shown, strict=True)}
    except ValueError as error:
        raise SystemdError(f"systemctl shows a property without a number: {error}") from error


def restart(service: Service) -> None:
    """Have systemd stop it, kill it if that takes too long, and start it again; does not wait for that."""
    systemd.systemctl("restart", "--no-block", service.unit, timeout_seconds=TIMEOUT_SECONDS)


def _unit(properties: dict[str, str]) -> Unit:
    return Unit(
        active_state=properties["ActiveState"],
        since=int(properties["ActiveEnterTimestampMonotonic"]) / 1e6,
        restarts=int(properties["NRestarts"]),
        notified=int(properties["WatchdogTimestampMonotonic"]) / 1e6,
    )
