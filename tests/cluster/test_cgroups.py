"""What a lab that was killed left in the cgroups, on the kernel's own cgroups. Those of the lab are not touched."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import cgroups, preconditions
from lab.progress import LabError


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    """A place for the nodes' cgroup inside a cgroup of the tests' own."""
    try:
        preconditions.check_root()
    except preconditions.UnfitError as unfit:
        pytest.skip(str(unfit))
    unified = cgroups.is_unified()
    outer = cgroups.TOP / ("" if unified else "memory") / f"{cgroups.CGROUP}-test"
    outer.mkdir()
    (tmp_path / "memory").symlink_to(outer)
    place = outer if unified else tmp_path
    yield place
    cgroups.remove(top=place)
    outer.rmdir()


def test_the_limit_of_an_earlier_lab_can_be_raised_and_lowered(top: Path) -> None:
    limit = Path(cgroups.CGROUP, "memory.max")
    if not cgroups.is_unified():
        limit = Path("memory", cgroups.CGROUP, "memory.limit_in_bytes")
    for mib in (100, 200, 50):
        cgroups.limit_nodes(mib, top)
        assert (top / limit).read_text().strip() == str(mib << 20)


def test_a_cgroup_that_still_holds_a_process_is_named(top: Path) -> None:
    cgroups.limit_nodes(100, top)
    [cgroup] = [*top.glob(f"*/{cgroups.CGROUP}"), *top.glob(cgroups.CGROUP)]
    left = cgroup / "node"
    left.mkdir()
    with subprocess.Popen(["sleep", "infinity"]) as process:
        try:
            (left / "cgroup.procs").write_text(str(process.pid))
            with pytest.raises(LabError, match=rf"{left} cannot be removed .* processes: {process.pid}\."):
                cgroups.remove(top=top, seconds=0.2)
        finally:
            process.kill()
    cgroups.remove(top=top)
    assert not cgroup.exists()
