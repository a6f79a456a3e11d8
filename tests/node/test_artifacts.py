from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import pytest

from node import rootfs
from node.airflow_options.rendering import PLUGINS_FOLDER
from node.artifacts import Artifact, artifacts, artifacts_for
from node.roles import Role
from node.rootfs import ROOTFS, files_for

GOLDEN = Path(__file__).parent / "golden_files"


def _members(artifact: Artifact) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(artifact.content)) as archive:
        return {f"/{member.name}": member for member in archive}


def _programs(role: Role) -> Artifact:
    (found,) = [artifact for artifact in artifacts_for(role) if artifact.name == f"{role}.tar"]
    return found


def test_an_artifact_is_named_after_its_content():
    for artifact in artifacts(Role):
        assert artifact.sha256 == hashlib.sha256(artifact.content).hexdigest()
        assert artifact.key == f"{artifact.sha256}/{artifact.name}"


def test_no_node_fetches_an_object_that_is_not_uploaded():
    uploaded = {artifact.key for artifact in artifacts(Role)}
    for role in Role:
        assert {artifact.key for artifact in artifacts_for(role)} <= uploaded


@pytest.mark.parametrize("role", Role)
def test_every_file_of_a_node_is_either_in_the_user_data_or_in_an_artifact(role: Role):
    in_user_data = {file.path for file in files_for(role) if file.in_user_data}
    in_artifact = set(_members(_programs(role))) - {plugin.path for plugin in rootfs.plugin_files()}
    assert in_user_data.isdisjoint(in_artifact)
    assert in_user_data | in_artifact == {file.path for file in files_for(role)}


def test_a_monitor_gets_nothing_of_airflow_and_is_nobodys_cost_without_one():
    assert [artifact.name for artifact in artifacts_for(Role.MONITOR)] == ["monitor.tar"]
    assert not any("/airflow/python/" in path for path in _members(_programs(Role.MONITOR)))
    assert "monitor.tar" not in {artifact.name for artifact in artifacts({Role.MASTER, Role.WORKER})}


def test_a_program_keeps_its_executable_mode():
    modes = {path: member.mode for path, member in _members(_programs(Role.MASTER)).items()}
    assert modes["/usr/local/lib/airflow/prepare-database"] == 0o755
    assert modes["/usr/local/lib/airflow/python/node_address.py"] == 0o644


def test_the_database_step_is_on_masters_only():
    assert "/usr/local/lib/airflow/prepare-database" not in _members(_programs(Role.WORKER))


def test_the_archive_does_not_depend_on_who_made_it_and_when():
    for member in _members(_programs(Role.WORKER)).values():
        assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")


def test_the_first_programs_exist():
    paths = {file.path for file in files_for(Role.WORKER)}
    assert paths >= rootfs.FIRST_PROGRAMS, "a first program that is not in the user data is nowhere"


@pytest.mark.parametrize("role", Role)
def test_each_role_gets_exactly_the_files_on_its_list(role: Role):
    """`python -m tests.node.test_artifacts` updates the lists; review the difference before you commit it."""
    assert _list_of(role) == (GOLDEN / f"{role}.txt").read_text(), "a file moved to another role, or is new or gone"


@pytest.mark.parametrize(("layer", "others"), [(Role.MASTER, Role.WORKER), (Role.WORKER, Role.MASTER)])
def test_an_edit_of_a_roles_own_files_leaves_nodes_of_the_other_role_as_they_are(
    layer: Role, others: Role, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def build(role: Role) -> tuple[object, object]:
        return artifacts_for(role), [file for file in files_for(role) if file.in_user_data]

    before = {role: build(role) for role in Role}
    edited = tmp_path / "rootfs"
    shutil.copytree(ROOTFS, edited)
    for file in (edited / layer.value).rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes() + b"\nedited = 1\n")
    monkeypatch.setattr(rootfs, "ROOTFS", edited)
    assert build(others) == before[others]
    programs, in_user_data = build(layer)
    assert programs != before[layer][0]
    assert in_user_data != before[layer][1]


@pytest.mark.parametrize("role", [Role.MASTER, Role.WORKER])
def test_airflow_plugins_are_on_every_node_with_airflow_and_nothing_else_changes_with_them(
    role: Role, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rootfs, "USER_PLUGINS", tmp_path)
    (tmp_path / "README.md").write_text("what belongs here")
    without = _members(_programs(role))
    deep = f"{'deep/' * 60}länge.py"
    for path in ("a.py", deep, "__pycache__/a.pyc", ".airflowignore"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    added = _members(_programs(role)).keys() - without.keys()
    assert added == {f"{PLUGINS_FOLDER}/{path}" for path in ("a.py", deep, ".airflowignore")}
    monkeypatch.setattr(rootfs, "USER_PLUGINS", tmp_path / "none")
    assert _members(_programs(role)).keys() == without.keys()


def _list_of(role: Role) -> str:
    lines = [f"{'user data' if file.in_user_data else 'archive  '} {file.path}" for file in files_for(role)]
    return "\n".join(sorted(lines)) + "\n"


if __name__ == "__main__":
    for each in Role:
        (GOLDEN / f"{each}.txt").write_text(_list_of(each))
