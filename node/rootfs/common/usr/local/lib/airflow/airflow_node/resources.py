"""Disk and memory of the node, and how much of them must be free."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Where tasks write. Their temporary directories are on the root file system.
DISKS = (Path("/"), Path("/var/lib/airflow"))
MEMINFO = Path("/proc/meminfo")
GIB = 1 << 30
# This share must be free, or this many bytes, whichever is less: five percent of a large disk are more than enough.
RESERVED_SHARE = 0.05
RESERVED_DISK_BYTES, RESERVED_MEMORY_BYTES = 2 * GIB, 1 * GIB


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource that tasks use up.

    Attributes:
        name: its name in a sentence.
        unit: the unit of `free`, `size` and `reserve`: "bytes" or "inodes".
        reserve: with less than this free, a task is likely to fail.
    """

    name: str
    unit: str = "bytes"
    free: int
    size: int
    reserve: float

    def __str__(self) -> str:
        free, size, reserve = map(self._text, (self.free, self.size, self.reserve))
        return f"{self.name} has {free} of {size} left, which is less than {reserve}"

    def _text(self, amount: float) -> str:
        return f"{amount / GIB:.2f} GiB" if self.unit == "bytes" else f"{amount:,.0f} {self.unit}"


def read_resources(disks: Sequence[Path] = DISKS, meminfo: Path = MEMINFO) -> tuple[Resource, ...]:
    """The node's resources now. A directory that does not exist is left out."""
    found: dict[int, Path] = {}
    for path in filter(Path.exists, disks):
        found.setdefault(path.stat().st_dev, path)
    return (*(resource for path in found.values() for resource in _disk(path)), _memory(meminfo))


def _disk(path: Path) -> Iterator[Resource]:
    seen = os.statvfs(path)
    # Without the space that only root may use (in f_bfree, f_ffree): tasks run as another user.
    size = seen.f_blocks * seen.f_frsize
    reserve = min(RESERVED_SHARE * size, RESERVED_DISK_BYTES)
    yield Resource(name=f"the disk at {path}", free=seen.f_bavail * seen.f_frsize, size=size, reserve=reserve)
    # A file system without a fixed number of inodes reports 0.
    if inodes := seen.f_files:
        reserve = RESERVED_SHARE * inodes
        yield Resource(name=f"the disk at {path}", unit="inodes", free=seen.f_favail, size=inodes, reserve=reserve)


def _memory(meminfo: Path) -> Resource:
    kib = {line.partition(":")[0]: line.split()[1] for line in meminfo.read_text().splitlines()}
    free, size = (int(kib[key]) << 10 for key in ("MemAvailable", "MemTotal"))
    return Resource(name="the memory", free=free, size=size, reserve=min(RESERVED_SHARE * size, RESERVED_MEMORY_BYTES))
