"""The cluster's name on this machine: Airflow redirects browsers to it, so it must resolve to the lab here too."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

HOSTS = Path("/etc/hosts")
MARK = "# airflow lab: removed when the lab ends, or by `make lab-sweep`"


def add(name: str, address: IPv4Address, hosts: Path = HOSTS) -> None:
    """Add the lab's line; it replaces one that a killed lab left."""
    remove(hosts)
    text = hosts.read_text()
    separator = "" if text.endswith("\n") or not text else "\n"
    # In place, not by a rename: in a container the file is a mount.
    hosts.write_text(f"{text}{separator}{address} {name} {MARK}\n")


def remove(hosts: Path = HOSTS) -> None:
    """Remove every line of the lab; all others stay unchanged."""
    lines = hosts.read_text().splitlines(keepends=True)
    kept = [line for line in lines if MARK not in line]
    if kept != lines:
        hosts.write_text("".join(kept))
