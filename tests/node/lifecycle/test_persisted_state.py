from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.lifecycle.node_of import memory


def test_what_was_written_is_remembered(tmp_path: Path):
    path = tmp_path / "memory.json"
    kept = memory.Memory().with_draining_since(12.5).with_stopping_since(7.25).with_boot_noted()
    kept = kept.with_end(terminating=True, spot_end=130.5)
    kept.write(path)
    assert memory.Memory.read(path) == kept
    assert [file.name for file in tmp_path.iterdir()] == ["memory.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"draining_since": "soon", "boot_noted": true}'])
def test_a_memory_that_cannot_be_read_is_empty(tmp_path: Path, text: str):
    path = tmp_path / "memory.json"
    path.write_text(text)
    assert memory.Memory.read(path) == memory.Memory()


def test_an_end_is_never_taken_back():
    kept = memory.Memory().with_end(terminating=True, spot_end=None).with_end(terminating=False, spot_end=130.5)
    kept = kept.with_end(terminating=False, spot_end=None)
    assert (kept.terminating, kept.spot_end) == (True, 130.5)


def test_a_new_node_remembers_nothing(tmp_path: Path):
    assert memory.Memory.read(tmp_path / "memory.json") == memory.Memory()


def test_a_memory_never_needs_more_room_than_at_first(tmp_path: Path):
    """/run may be full by then."""
    path = tmp_path / "memory.json"
    memory.Memory().write(path)
    first = path.stat()
    kept = memory.Memory().with_draining_since(1e9 / 3).with_stopping_since(1e9 / 7).with_boot_noted()
    kept = kept.with_end(terminating=True, spot_end=1e9 / 11)
    kept.write(path)
    assert (path.stat().st_ino, path.stat().st_size) == (first.st_ino, first.st_size)
    memory.Memory().write(path)
    assert memory.Memory.read(path) == memory.Memory(), "nothing of the longer one is left"
