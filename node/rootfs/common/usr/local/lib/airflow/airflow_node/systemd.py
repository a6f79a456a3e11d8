"""systemd, from the programs that it runs: `systemctl`, and notifications to the service manager."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence

from airflow_node import log

# A machine that boots, or that is short of memory, may take long. Services that check again soon pass less.
TIMEOUT_SECONDS = 30.0


class SystemdError(Exception):
    """systemctl failed, or did not end in time. The message says which."""


def systemctl(*arguments: str, timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """The output of `systemctl`. Raises SystemdError."""
    command = ["systemctl", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_seconds)
    except (OSError, subprocess.TimeoutExpired):
        # Also if no process can be started, because memory or process ids have run out.
        raise SystemdError("systemd does not answer") from None
    if done.returncode != 0:
        raise SystemdError(log.one_line(done.stderr or f"exit code {done.returncode}"))
    return done.stdout


def show(
    *units: str, properties: Sequence[str], timeout_seconds: float = TIMEOUT_SECONDS
) -> tuple[dict[str, str], ...]:
    """The properties of each unit, in the order of the units; a property that is not shown is empty.

    Raises SystemdError, also if a unit is not shown.
    """
    wanted = f"--property={','.join(('Id', *properties))}"
    shown = systemctl("show", wanted, *units, timeout_seconds=timeout_seconds)
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in shown.strip().split("\n\n")
    ]
    by_id = {block.get("Id"): block for block in blocks}
    if missing := [unit for unit in units if unit not in by_id]:
        raise SystemdError(f"systemctl does not show {', '.join(missing)}")
    return tuple({name: by_id[unit].get(name, "") for name in properties} for unit in units)


def notify(state: str) -> None:
    """Send `READY=1` or `WATCHDOG=1` like sd_notify(3); does nothing if systemd expects no notifications."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            # "@" stands for the NUL byte with which an abstract socket address begins: unix(7).
            channel.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
