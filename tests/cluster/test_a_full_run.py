"""What the lifecycle service remembers when /run is full. Does not use the lab's nodes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import preconditions
from tests.node.lifecycle.node_of import PersistedState


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A small /run."""
    try:
        preconditions.check_root()
    except preconditions.UnfitError as unfit:
        pytest.skip(str(unfit))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def _fill(run: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        (run / "filler").write_bytes(bytes(1 << 20))
    with pytest.raises(OSError, match="No space left"):
        (run / "more").write_text("anything")


def test_a_service_that_is_restarted_with_run_full_still_knows_when_its_drain_began(run: Path) -> None:
    path = run / "memory.json"
    PersistedState().write(path)
    _fill(run)
    state = PersistedState().with_draining_since(1e9 / 3).with_termination(terminating=True, spot_end=1e9 / 7)
    state.write(path)
    assert PersistedState.read(path) == state
