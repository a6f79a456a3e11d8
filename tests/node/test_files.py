from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.programs import module

files = module("airflow_node.files")


def test_a_file_is_written_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "new/file"
    files.write(target, b"old", 0o640)
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"old", 0o640)

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(files.Path, "chmod", fail)
    with pytest.raises(OSError, match="the disk is full"):
        files.write(target, b"new", 0o640)
    assert target.read_bytes() == b"old"
