"""The units of a master's services, through systemd."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from airflow_node import log

from health.services import Service
from health.verdict import Unit

PROPERTIES = "Id,ActiveState,ActiveEnterTimestampMonotonic,NRestarts,WatchdogTimestampMonotonic"
TIMEOUT_SECONDS = 10.0


class SystemdError(Exception):
    """systemd does not answer, or refuses."""


def look(services: Sequence[Service]) -> dict[str, Unit]:
    """Each service's unit, by the service's name. SystemdError if systemd does not show all of them."""
    shown = _systemctl("show", f"--property={PROPERTIES}", *(service.unit for service in services))
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n")]
    by_id = {block.get("Id"): block for block in blocks}
    try:
        return {service.name: _unit(by_id[service.unit]) for service in services}
    except (KeyError, ValueError) as error:
        raise SystemdError(f"systemctl show lacks a unit or a property: {error!r}") from error


def restart(service: Service) -> None:
    """Have systemd stop it, kill it if that takes too long, and start it again; does not wait for that."""
    _systemctl("restart", "--no-block", service.unit)


def _unit(block: dict[str, str]) -> Unit:
    return Unit(
        active_state=block["ActiveState"],
        since=int(block["ActiveEnterTimestampMonotonic"]) / 1e6,
        restarts=int(block["NRestarts"]),
        spoke=int(block["WatchdogTimestampMonotonic"]) / 1e6,
    )


def _systemctl(*arguments: str) -> str:
    command = ["systemctl", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise SystemdError("systemd does not answer") from None
    if done.returncode != 0:
        raise SystemdError(log.one_line(done.stderr))
    return done.stdout
