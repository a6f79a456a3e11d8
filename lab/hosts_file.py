"""The cluster's name on this machine: Airflow redirects browsers to it, so it must resolve to the lab here too."""

from __future__ import annotations

import fcntl
from ipaddress import IPv4Address
from pathlib import Path

from lab import host

HOSTS = Path("/etc/hosts")
MARK = f"# {host.NAME}: removed when the lab ends, or by `make lab-sweep`"


def add(name: str, address: IPv4Address, hosts: Path = HOSTS) -> None:
    """Add the lab's line; it replaces one that a killed lab left."""
    _replace_own(f"{address} {name} {MARK}\n", hosts)


def remove(hosts: Path = HOSTS) -> None:
    """Remove every line of the lab; all others stay unchanged."""
    _replace_own("", hosts)


def _replace_own(line: str, hosts: Path) -> None:
    # In place, not by a rename: in a container the file is a mount. Locked, for another lab may do the same.
    with hosts.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        others = "".join(other for other in text.splitlines(keepends=True) if MARK not in other)
        if line and others and not others.endswith("\n"):
            others += "\n"
        if others + line != text:
            file.seek(0)
            file.write(others + line)
            file.truncate()
