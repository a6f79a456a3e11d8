from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.node.programs import module

health_check = module("lifecycle.health_check")
resources = module("airflow_node.resources")
GIB = 1 << 30


def disk(free_gib: float, size_gib: float = 50) -> Any:
    size = int(size_gib * GIB)
    return resources.Resource(name="the disk at /", free=int(free_gib * GIB), size=size, reserve=2 * GIB)


def test_a_disk_that_stays_nearly_full_is_short_after_ten_seconds():
    found = health_check.Pressure()
    assert [found.reason([disk(0.4)], now) for now in (0, 4, 8)] == [None] * 3
    assert found.reason([disk(0.4)], 10) == (
        "the disk at / has 0.40 GiB of 50.00 GiB left, which is less than 2.00 GiB"
    )


def test_a_peak_of_a_few_seconds_is_no_shortage():
    found = health_check.Pressure()
    free = [0.4, 0.4, 30.0] * 20
    assert {found.reason([disk(amount)], 4.0 * step) for step, amount in enumerate(free)} == {None}


def test_a_disk_that_was_not_reported_as_short_needs_only_its_reserve():
    found = health_check.Pressure()
    assert found.reason([disk(1.9)], 0) is None
    assert {found.reason([disk(2.1)], float(now)) for now in range(2, 60, 2)} == {None}


def test_a_shortage_ends_when_twice_the_reserve_has_been_free_for_half_a_minute():
    found = health_check.Pressure()
    for now in (0, 10):
        found.reason([disk(0.4)], now)
    assert found.reason([disk(3.9)], 600), "one task would make it short again"
    assert found.reason([disk(4.1)], 602), "it may fill up again at once"
    assert found.reason([disk(4.1)], 631)
    assert found.reason([disk(4.1)], 632) is None


def test_every_resource_that_is_short_is_named():
    found = health_check.Pressure()
    inodes = resources.Resource(name="the disk at /", unit="inodes", free=9, size=3_276_800, reserve=163_840)
    found.reason([disk(0.4), inodes], 0)
    assert "; the disk at / has 9 inodes of 3,276,800 inodes left" in found.reason([disk(0.4), inodes], 10)


def test_only_space_that_other_users_than_root_may_use_counts_as_free(tmp_path: Path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:        4000000 kB\nMemFree:          100 kB\nMemAvailable:     150000 kB\n")
    *disks, memory = resources.read_resources([tmp_path, tmp_path / "..", Path("/")], meminfo)
    stat = os.statvfs(tmp_path)
    assert disks[0].free == pytest.approx(stat.f_bavail * stat.f_frsize, rel=0.1)
    assert disks[0].reserve == min(0.05 * disks[0].size, 2 * GIB)
    assert [each.unit for each in disks] == ["bytes", "inodes"], "one file system is one disk"
    assert (memory.free, memory.size, memory.reserve) == (150000 << 10, 4000000 << 10, 200000 << 10)
