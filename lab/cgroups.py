"""The nodes' cgroups, all inside one that limits them together, and the memory available to the lab."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from lab import host
from lab.progress import LabError

CGROUP = host.NAME
"""The cgroup of all nodes, in each hierarchy; the lab's servers are not in it."""
TOP = Path("/sys/fs/cgroup")
MEMINFO, OWN = Path("/proc/meminfo"), Path("/proc/self/cgroup")
HIERARCHIES = ("cpu", "cpuacct", "cpuset", "memory", "freezer", "blkio", "pids", "systemd", "unified")
NODE_CONTROLLERS = ("cpu", "memory", "pids", "io")
SHARES, WEIGHT = 16 * 1024, 1600
"""Processor time for all nodes together, in the unit of each cgroup version: sixteen times the share of one other
process or cgroup. An EC2 instance does not slow down because unit tests run on another machine."""


def is_unified(top: Path = TOP) -> bool:
    """Whether this machine has only cgroups version 2."""
    return (top / "cgroup.controllers").exists()


def limit_nodes(mib: int, top: Path = TOP) -> None:
    """Create the cgroup of all nodes with its limit: above it the kernel kills their processes, not the host's.

    They have priority for processor time over everything else on this machine.
    """
    if not is_unified(top):
        if (top / "cpu").is_dir():
            (top / "cpu" / CGROUP).mkdir(exist_ok=True)
            (top / "cpu" / CGROUP / "cpu.shares").write_text(str(SHARES))
        directory = top / "memory" / CGROUP
        directory.mkdir(exist_ok=True)
        limit, with_swap = directory / "memory.limit_in_bytes", directory / "memory.memsw.limit_in_bytes"
        counts_swap = with_swap.exists()
        if counts_swap:
            with_swap.write_text("-1")  # the kernel refuses a limit above that of an earlier lab with swap
        limit.write_text(str(mib << 20))
        if counts_swap:
            with_swap.write_text(str(mib << 20))
        return
    directory = top / CGROUP
    directory.mkdir(exist_ok=True)
    for parent in (top, directory):
        for controller in NODE_CONTROLLERS:
            with contextlib.suppress(OSError):  # without it, only the limits of units are not enforced
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")
    (directory / "memory.max").write_text(str(mib << 20))
    with contextlib.suppress(OSError):  # the controller may be missing
        (directory / "cpu.weight").write_text(str(WEIGHT))
    with contextlib.suppress(FileNotFoundError):
        (directory / "memory.swap.max").write_text("0")


def try_out(top: Path = TOP) -> None:
    """Create a cgroup in every hierarchy and remove it; the OSError names the hierarchy that refuses."""
    hierarchies = [top] if is_unified(top) else [top / name for name in HIERARCHIES if (top / name).is_dir()]
    for hierarchy in hierarchies:
        probe = hierarchy / f"{CGROUP}-probe"
        probe.mkdir()
        probe.rmdir()
    if is_unified(top):
        (top / "cgroup.subtree_control").write_text("+memory")


def available_mib(top: Path = TOP, meminfo: Path = MEMINFO, own: Path = OWN) -> int:
    """Memory that programs can use without swapping, within the limits of the cgroups that the lab itself is in."""
    line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
    return min([int(line.split()[1]) << 10, *_left_by_limits(top, own)]) >> 20


def _left_by_limits(top: Path, own: Path) -> Iterator[int]:
    """What each limit that applies to the lab's process leaves. In a container, its own cgroup may be invisible."""
    limit, usage, cache = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
    if is_unified(top):
        limit, usage, cache = "memory.max", "memory.current", "inactive_file"
    for line in own.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == ("" if is_unified(top) else "memory"):
            root = top / controllers
            directory = root / path.lstrip("/")
            for place in {root, directory, *(parent for parent in directory.parents if parent.is_relative_to(root))}:
                with contextlib.suppress(FileNotFoundError, ValueError):  # "max" is not a number: no limit
                    statistics = dict(line.split() for line in (place / "memory.stat").read_text().splitlines())
                    used = int((place / usage).read_text()) - int(statistics.get(cache, 0))
                    yield int((place / limit).read_text()) - used


def remove(node: str = "", top: Path = TOP, seconds: float = 30) -> None:
    """Remove the cgroups of a node that is powered off, or of all nodes: empty cgroups take kernel memory too.

    LabError names the cgroup that still cannot be removed after `seconds`.
    """
    below = Path(CGROUP, node)
    for cgroup in [*top.glob(f"*/{below}"), top / below]:
        if cgroup.is_dir():
            for directory, _, _ in os.walk(cgroup, topdown=False):
                _remove(Path(directory), seconds)


def _remove(directory: Path, seconds: float) -> None:
    """Remove a cgroup as soon as the kernel has reaped its last process, which takes a moment."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError as refusal:
            if time.monotonic() > deadline:
                raise LabError(
                    f"The cgroup {directory} cannot be removed ({refusal.strerror}). Its processes: "
                    f"{_processes(directory)}. End them, then run `make lab-sweep`."
                ) from None
            time.sleep(0.1)
        else:
            return


def _processes(directory: Path) -> str:
    try:
        return ", ".join((directory / "cgroup.procs").read_text().split()) or "none"
    except OSError:
        return "unknown"
