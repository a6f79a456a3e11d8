from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.lifecycle.node_of import PersistedState


def test_what_was_written_is_read_again(tmp_path: Path):
    path = tmp_path / "memory.json"
    state = PersistedState().with_draining_since(12.5).with_stopping_since(7.25).with_boot_noted()
    state = state.with_termination(terminating=True, spot_end=130.5)
    state.write(path)
    assert PersistedState.read(path) == state
    assert [file.name for file in tmp_path.iterdir()] == ["memory.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"draining_since": "soon", "boot_noted": true}'])
def test_a_file_that_cannot_be_read_gives_the_defaults(tmp_path: Path, text: str):
    path = tmp_path / "memory.json"
    path.write_text(text)
    assert PersistedState.read(path) == PersistedState()


def test_a_termination_is_never_withdrawn():
    state = (
        PersistedState()
        .with_termination(terminating=True, spot_end=None)
        .with_termination(terminating=False, spot_end=130.5)
    )
    state = state.with_termination(terminating=False, spot_end=None)
    assert (state.terminating, state.spot_end) == (True, 130.5)


def test_a_missing_file_gives_the_defaults(tmp_path: Path):
    assert PersistedState.read(tmp_path / "memory.json") == PersistedState()


def test_a_file_never_needs_more_space_than_at_first(tmp_path: Path):
    """/run may be full by then."""
    path = tmp_path / "memory.json"
    PersistedState().write(path)
    first = path.stat()
    state = PersistedState().with_draining_since(1e9 / 3).with_stopping_since(1e9 / 7).with_boot_noted()
    state = state.with_termination(terminating=True, spot_end=1e9 / 11)
    state.write(path)
    assert (path.stat().st_ino, path.stat().st_size) == (first.st_ino, first.st_size)
    PersistedState().write(path)
    assert PersistedState.read(path) == PersistedState(), "nothing of the longer one is left"
