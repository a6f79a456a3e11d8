"""What a service tells systemd: that it is ready, and that it is alive."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send `READY=1` or `WATCHDOG=1` as sd_notify(3) does; nothing where systemd does not ask for it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            # "@" stands for the NUL of a name that is no file.
            channel.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
