from __future__ import annotations

import os
from pathlib import Path

import pytest

from dags import folder as folder_module
from dags.faults import DagsError, FaultsError
from dags.folder import name_faults, read_folder, twin_faults
from tests.dags.conftest import MakeFolder


def _faults(folder: Path) -> list[str]:
    with pytest.raises(FaultsError) as error:
        read_folder(folder)
    return list(error.value.faults)


def test_files_beside_the_dags_belong_to_a_release(make_folder: MakeFolder):
    folder = make_folder(files={"sql/a.sql": "", "team/lib/x.py": "", ".airflowignore": "lib", ".env": "A=1"})
    assert list(read_folder(folder)) == [".airflowignore", ".env", "first.py", "sql/a.sql", "team/lib/x.py"]


def test_what_tools_leave_beside_the_dags_does_not(make_folder: MakeFolder):
    left_out = (".git/config", "a/__pycache__/b.cpython-313.pyc", "c.pyc", ".venv/bin/python", ".DS_Store", "sub/.git")
    assert list(read_folder(make_folder(files=dict.fromkeys(left_out, "")))) == ["first.py"]


def test_a_link_to_a_file_of_the_folder_becomes_a_copy(make_folder: MakeFolder):
    folder = make_folder(files={"shared/lib.py": "X = 1"})
    (folder / "lib.py").symlink_to("shared/lib.py")
    (folder / "team").symlink_to("shared")
    assert list(read_folder(folder)) == ["first.py", "lib.py", "shared/lib.py", "team/lib.py"]
    assert read_folder(folder)["team/lib.py"].read_text() == "X = 1"


def test_a_folder_that_is_itself_a_link_can_be_released(make_folder: MakeFolder, tmp_path: Path):
    make_folder()
    (tmp_path / "current").symlink_to("folder")
    assert list(read_folder(tmp_path / "current")) == ["first.py"]


def test_a_link_out_of_the_folder_is_a_fault(make_folder: MakeFolder, tmp_path: Path):
    folder = make_folder()
    (tmp_path / "secret").write_text("")
    (folder / "a").symlink_to(tmp_path / "secret")
    (folder / "b").symlink_to("..")
    assert _faults(folder) == [
        f"a is a link out of the folder, to {tmp_path / 'secret'}: copy what it needs into the folder.",
        f"b is a link out of the folder, to {tmp_path}: copy what it needs into the folder.",
    ]


def test_a_link_to_nothing_or_to_itself_is_a_fault(make_folder: MakeFolder):
    folder = make_folder()
    (folder / "gone.py").symlink_to("missing.py")
    (folder / "loop").symlink_to("loop")
    (folder / "up").symlink_to(".")
    assert _faults(folder) == [
        "gone.py is a link to nothing (missing.py): remove or correct it.",
        "loop is a link to nothing (loop): remove or correct it.",
        "up is a link to a folder that contains it: remove it.",
    ]


def test_links_cannot_multiply_files_without_end(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder_module, "MAX_FILES", 100)
    folder = make_folder(files={"d30/x": ""})
    for level in range(30):
        (folder / f"d{level}").mkdir()
        for name in ("left", "right"):
            (folder / f"d{level}" / name).symlink_to(f"../d{level + 1}")
    assert _faults(folder) == [
        "It has more than 100 files, which no release may have: remove what is no part of the DAGs."
    ]


def test_a_pipe_is_a_fault_and_is_not_opened(make_folder: MakeFolder):
    folder = make_folder()
    os.mkfifo(folder / "pipe.py")
    assert _faults(folder) == ["pipe.py is neither a file nor a folder: remove it."]


def test_a_file_that_cannot_be_read_is_a_fault(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path).name != "locked.sql")  # root may read everything
    assert _faults(make_folder(files={"locked.sql": ""})) == ["locked.sql cannot be read: Permission denied."]


def test_a_directory_that_cannot_be_read_is_a_fault(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path) -> list[os.DirEntry[str]]:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return list(os_scandir(path))

    os_scandir = os.scandir
    monkeypatch.setattr(os, "scandir", refuse)
    assert _faults(make_folder(files={"locked/a": ""})) == ["locked/ cannot be read: Permission denied."]


def test_a_name_that_is_not_utf_8_is_a_fault(make_folder: MakeFolder):
    folder = make_folder()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.sql")).write_text("")
    assert _faults(folder) == [r"'caf\udce9.sql' is not valid UTF-8: rename it."]


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("a" * 255, None),
        ("ö" * 127 + "aa", "has a name of 256 bytes; nodes allow 255: shorten it."),
        ("/".join(["a" * 199] * 5), None),
        ("/".join(["a" * 199] * 5) + "/", "has 1000 bytes"),
        ("/".join(["a" * 199] * 5) + "/b", "has 1001 bytes; Airflow can store 1000: shorten it."),
        ("a\nb.py", "contains a control character: rename it."),
    ],
)
def test_a_name_that_no_node_can_have_is_a_fault(path: str, fault: str | None):
    faults = list(name_faults(path))
    if fault is None or fault == "has 1000 bytes":
        assert faults == []
    else:
        assert len(faults) == 1
        assert faults[0].endswith(fault)


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (("a.py", "A.py"), "A.py and a.py differ only"),
        (("lib/a", "Lib/b"), "Lib and lib differ only"),
        (("\u00e9.sql", "e\u0301.sql"), r"'e\u0301.sql' and '\xe9.sql' differ only"),
        (("a.py", "b.py", "a/b"), None),
    ],
)
def test_names_that_are_one_on_a_mac_are_a_fault(paths: tuple[str, ...], said: str | None):
    faults = list(twin_faults(paths))
    assert len(faults) == (0 if said is None else 1)
    assert said is None or faults[0].startswith(said)


def test_a_folder_without_dags_is_a_fault(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    assert _faults(tmp_path / "empty")[0].startswith("There is no file in it")
    (tmp_path / "empty/helper.py").write_text("X = 1")
    assert _faults(tmp_path / "empty")[0].startswith("There is no DAG in it")


def test_a_folder_that_is_too_large_is_a_fault(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder_module, "MAX_BYTES", 1000)
    assert _faults(make_folder(files={"data": "x" * 2000}))[0].startswith(
        "It has 2,047 bytes; a release may have 1,000"
    )


def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(DagsError, match=r"missing does not exist\. Name the folder"):
        read_folder(tmp_path / "missing")
    (tmp_path / "dag.py").write_text("")
    with pytest.raises(DagsError, match=r"dag\.py is not a folder\. Name the folder"):
        read_folder(tmp_path / "dag.py")


def test_the_package_of_the_command_is_not_published_by_mistake():
    with pytest.raises(DagsError, match=r"dags is the package of this command\. Name the folder"):
        read_folder(Path(folder_module.__file__).parent)


def test_all_faults_are_told_at_once(make_folder: MakeFolder):
    folder = make_folder(files={"B.sql": "", "b.sql": ""})
    os.mkfifo(folder / "pipe")
    with pytest.raises(FaultsError) as error:
        read_folder(folder)
    assert str(error.value).splitlines() == [f"{folder} has 2 faults:", *(f"  {fault}" for fault in error.value.faults)]
