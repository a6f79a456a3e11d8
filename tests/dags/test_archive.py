from __future__ import annotations

import io
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from airflow_node import dag_release

from dags.archive import Archive, pack, packed_folder
from dags.faults import DagsError
from tests.dags.conftest import MakeFolder


def _pack(folder: Path) -> Archive:
    with packed_folder(folder) as archive:
        return archive


def test_a_node_unpacks_what_was_packed(make_folder: MakeFolder, tmp_path: Path):
    files = {"a/ö.sql": "select", "x" * 200: "long", "a/" + "y" * 250 + "/z.py": "deep"}
    folder = make_folder(files=files)
    (folder / "run.sh").write_text("#!/bin/sh")
    (folder / "run.sh").chmod(0o700)
    with packed_folder(folder) as archive:
        archive.packed.seek(0)
        dag_release.unpack(archive.packed, tmp_path / "node", archive.version)
    there = [path for path in (tmp_path / "node").rglob("*") if path.is_file()]
    unpacked = {str(path.relative_to(tmp_path / "node")): path for path in there}
    assert {path: file.read_text() for path, file in unpacked.items()} == {
        "first.py": (folder / "first.py").read_text(),
        "run.sh": "#!/bin/sh",
        **files,
    }
    assert {path for path, file in unpacked.items() if file.stat().st_mode & stat.S_IXUSR} == {"run.sh"}
    assert [file.path for file in archive.files] == sorted(unpacked)
    assert [file.path for file in archive.files if file.executable] == ["run.sh"]


def test_the_same_files_are_the_same_release_wherever_and_whenever_they_are_packed(make_folder: MakeFolder):
    one, other = make_folder("one", {"b": "1", "a/c": "2"}), make_folder("other", {"a/c": "2", "b": "1"})
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o750 if path.is_dir() else 0o640)
    assert _pack(one).version == _pack(other).version


def test_the_version_of_a_release_never_changes_with_the_program(make_folder: MakeFolder):
    """Else every folder would have to be published again, as a release that differs from the one before in nothing."""
    assert _pack(make_folder(files={"a/" + "ö" * 80 + ".py": "X = 1"})).version == (
        "9663f297575d97b2174dfaa6a7c39fa6821109689864c8a76fcbe11b258090dc"
    )


@pytest.mark.parametrize("change", ["content", "name", "mode"])
def test_another_file_is_another_release(make_folder: MakeFolder, change: str):
    folder = make_folder(files={"a": "1"})
    before = _pack(folder).version
    if change == "content":
        (folder / "a").write_text("2")
    elif change == "name":
        (folder / "a").rename(folder / "b")
    else:
        (folder / "a").chmod(0o755)
    assert _pack(folder).version != before


def test_a_file_that_vanishes_meanwhile_is_told(make_folder: MakeFolder):
    with pytest.raises(DagsError, match=r"gone\.py changed while it was read .*Repeat the command"):
        pack({"gone.py": make_folder() / "gone.py"}, io.BytesIO())


def test_a_file_that_is_cut_off_meanwhile_is_told(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    file = make_folder() / "first.py"
    opened = Path.open

    def cut(path: Path, mode: str) -> Any:
        os.truncate(path, 3)
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", cut)
    with pytest.raises(DagsError, match=r"first\.py changed while it was read"):
        pack({"first.py": file}, io.BytesIO())


def test_the_commit_of_the_folder_is_recorded(make_folder: MakeFolder, tmp_path: Path):
    folder = make_folder("repository/dags")

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder.parent), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    (tmp_path / "repository/other").write_text("outside of the folder")
    commit = _pack(folder).commit
    assert commit is not None
    assert (commit.sha, commit.dirty) == (git("rev-parse", "HEAD"), False)
    (folder / "new.py").write_text("")
    commit = _pack(folder).commit
    assert commit is not None
    assert commit.dirty


def test_a_folder_outside_of_a_repository_has_no_commit(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/")
    assert _pack(make_folder()).commit is None


def test_git_is_not_needed(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert _pack(make_folder()).commit is None
