"""What each service of the nodes has used: processor time, and memory at its peak and now."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.cgroups import CGROUP, TOP, is_unified
from lab.cluster import Cluster

SERVICES: Mapping[str, tuple[str, ...]] = {
    "master": ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"),
    "worker": ("airflow-worker",),
}
"""What is measured and restarted, by the role of the node."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Of a service on all nodes that have it.

    Attributes:
        seconds: processor time since its start, on all of them together.
        peak: bytes on the node where it had the most at a time, its part of the page cache included.
        anonymous: bytes that it has now where that is the most, without the page cache.
    """

    seconds: float
    peak: int
    anonymous: int


def read(cluster: Cluster) -> dict[str, Usage]:
    """The usage of each service since its last start."""
    found = {}
    for role, services in SERVICES.items():
        nodes = [node.name for node in cluster.nodes(role=role)]
        for service in services:
            each = [usage_of(node, f"{service}.service") for node in nodes]
            found[service] = Usage(
                seconds=sum(one.seconds for one in each),
                peak=max(one.peak for one in each),
                anonymous=max(one.anonymous for one in each),
            )
    return found


def usage_of(node: str, unit: str, top: Path = TOP, proc: Path = Path("/proc")) -> Usage:
    """The usage of a unit: its memory by its cgroup, its processor time by its processes and those they have reaped."""
    if is_unified(top):
        own = processes = _cgroup(top / CGROUP / node, unit)
        peak, anonymous = "memory.peak", "anon"
    else:
        own, processes = (_cgroup(top / hierarchy / CGROUP / node, unit) for hierarchy in ("memory", "systemd"))
        peak, anonymous = "memory.max_usage_in_bytes", "total_rss"
    return Usage(
        seconds=sum(_seconds(proc / pid) for pid in _processes(processes)),
        peak=int((own / peak).read_text()),
        anonymous=_table(own / "memory.stat")[anonymous],
    )


def _processes(cgroup: Path) -> list[str]:
    """The processes in a cgroup and in those below it, by the ids that they have on this machine."""
    return [pid for folder, _, _ in os.walk(cgroup) for pid in _lines(Path(folder, "cgroup.procs"))]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:  # a cgroup of a task that has just ended
        return []


def _seconds(process: Path) -> float:
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended, and counts as reaped
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def machine_seconds(stat: Path = Path("/proc/stat")) -> float:
    """Processor time that this machine has used since its boot, for whatever purpose."""
    user, nice, system, _, _, interrupts, soft, *_ = map(int, stat.read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def _cgroup(node: Path, unit: str) -> Path:
    """The unit's cgroup below that of its node, which may have others in between."""
    for directory, names, _ in os.walk(node):
        if unit in names:
            return Path(directory, unit)
    raise FileNotFoundError(f"{unit} has no cgroup below {node}")


def _table(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in file.read_text().splitlines())}
