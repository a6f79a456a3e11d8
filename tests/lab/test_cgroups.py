"""The memory that cgroups leave to the lab, and the limits of the nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import cgroups

GIB = 1 << 30
UNLIMITED = 9223372036854771712
"""The value of version 1 for no limit."""


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:       24683504 kB\nMemFree:  1 kB\nMemAvailable:   17825792 kB\n")
    return file


def group(directory: Path, files: dict[str, object]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_text(f"{content}\n")


def version_1(directory: Path, limit: int, used: int, cache: int = 0) -> None:
    statistics = f"rss {used}\ntotal_inactive_file {cache}"
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
    group(directory, dict(zip(names, (limit, used, statistics), strict=True)))


def version_2(directory: Path, limit: int | str, used: int, cache: int = 0) -> None:
    statistics = f"anon {used}\ninactive_file {cache}"
    group(directory, {"memory.max": limit, "memory.current": used, "memory.stat": statistics})


def available(top: Path, meminfo: Path, own: str) -> int:
    (top / "own").write_text(own)
    return cgroups.available_mib(top, meminfo, top / "own")


def test_without_a_limit_all_available_memory_can_be_used(tmp_path: Path, meminfo: Path):
    version_1(tmp_path / "memory", UNLIMITED, 5 * GIB)
    assert available(tmp_path, meminfo, "4:memory:/\n1:cpu:/other\n") == 17 << 10


def test_the_unused_part_of_an_outer_cgroups_limit_counts(tmp_path: Path, meminfo: Path):
    version_1(tmp_path / "memory", UNLIMITED, 5 * GIB)
    version_1(tmp_path / "memory/docker", 12 * GIB, 3 * GIB, cache=GIB)
    version_1(tmp_path / "memory/docker/1f", UNLIMITED, GIB)
    assert available(tmp_path, meminfo, "4:memory:/docker/1f\n") == 10 << 10


def test_a_container_sees_its_own_limit_at_the_top(tmp_path: Path, meminfo: Path):
    version_1(tmp_path / "memory", 12 * GIB, GIB)
    assert available(tmp_path, meminfo, "4:memory:/docker/1f\n") == 11 << 10


def test_version_2_has_limits_too(tmp_path: Path, meminfo: Path):
    group(tmp_path, {"cgroup.controllers": "cpu io memory pids"})
    version_2(tmp_path / "system.slice", 12 * GIB, 3 * GIB, cache=GIB)
    version_2(tmp_path / "system.slice/runner", "max", GIB)
    assert available(tmp_path, meminfo, "0::/system.slice/runner\n") == 10 << 10


def test_all_nodes_together_have_a_limit_without_swap(tmp_path: Path):
    group(tmp_path / "memory" / cgroups.CGROUP, {"memory.memsw.limit_in_bytes": UNLIMITED})
    cgroups.limit_nodes(9 << 10, tmp_path)
    given = {file.name: file.read_text() for file in (tmp_path / "memory" / cgroups.CGROUP).iterdir()}
    assert given == {"memory.limit_in_bytes": str(9 * GIB), "memory.memsw.limit_in_bytes": str(9 * GIB)}


def test_all_nodes_together_have_a_limit_in_version_2(tmp_path: Path):
    group(tmp_path, {"cgroup.controllers": "cpu io memory pids"})
    cgroups.limit_nodes(9 << 10, tmp_path)
    assert (tmp_path / cgroups.CGROUP / "memory.max").read_text() == str(9 * GIB)
    assert (tmp_path / cgroups.CGROUP / "memory.swap.max").read_text() == "0"


def test_nodes_have_priority_for_processor_time(tmp_path: Path):
    group(tmp_path / "memory", {})
    group(tmp_path / "cpu", {})
    cgroups.limit_nodes(9 << 10, tmp_path)
    assert (tmp_path / "cpu" / cgroups.CGROUP / "cpu.shares").read_text() == str(cgroups.SHARES)


def test_nodes_have_priority_for_processor_time_in_version_2_too(tmp_path: Path):
    group(tmp_path, {"cgroup.controllers": "cpu io memory pids"})
    cgroups.limit_nodes(9 << 10, tmp_path)
    assert (tmp_path / cgroups.CGROUP / "cpu.weight").read_text() == str(cgroups.WEIGHT)
