"""The start scripts that a stack file names for masters and worker pools."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from engine.program import deploy
from node.roles import MASTERS, NodeGroup, worker_group
from settings import repository_file
from tests.stack_file import ROOT, changed, content, faults_of, load, the_fault

HEAVY = "airflow:workerPools.heavy.startScript"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository's root with a script."""
    root = tmp_path / "repository"
    root.mkdir()
    (root / "start.sh").write_text("#!/bin/sh\nexit 0\n")
    monkeypatch.setattr(repository_file, "ROOT", root)
    return root


def _artifacts(changes: dict[str, object], group: NodeGroup) -> list[str]:
    """The keys of what the nodes of a group fetch."""
    return load(changed(changes)).node_environment(group).variables()["NODE_ARTIFACTS"].split()


@pytest.mark.parametrize(
    ("path", "given", "remedy"),
    [
        ("missing.sh", b"", "there is no such file"),
        ("folder", b"", "there is no such file"),
        ("../outside.sh", b"#!/bin/sh\n", "copy the script into this repository"),
        ("/etc/passwd", b"", "copy the script into this repository"),
        ("empty.sh", b"", "name its interpreter in the first line"),
        ("no-interpreter.sh", b"apt-get install git\n", "name its interpreter in the first line"),
        ("windows.sh", b"#!/bin/bash\r\nexit 0\r\n", "save it with Unix line ends"),
        ("large.sh", b"#!/bin/sh\n" + bytes(256 * 1024), "it has 262,154 bytes"),
    ],
)
def test_a_script_that_no_node_could_run_is_refused_with_what_to_correct(
    root: Path, path: str, given: bytes, remedy: str
):
    (root / "folder").mkdir()
    if path not in ("missing.sh", "folder", "/etc/passwd"):
        (root / path).write_bytes(given)
    fault = the_fault({HEAVY: path})
    assert fault.key == HEAVY
    assert fault.remedy.startswith(remedy)


@pytest.mark.usefixtures("root")
def test_faults_of_all_groups_are_told_together():
    faults = faults_of({HEAVY: "missing.sh", "airflow:masters.startScript": "/etc/hosts"})
    assert {fault.key for fault in faults} == {HEAVY, "airflow:masters.startScript"}


def test_a_change_of_the_file_rolls_exactly_the_nodes_of_its_group(root: Path):
    changes: dict[str, object] = {HEAVY: "start.sh"}
    others = [MASTERS, worker_group("default")]
    before = _artifacts(changes, worker_group("heavy"))
    unchanged = [_artifacts(changes, group) for group in others]
    (root / "start.sh").write_text("#!/bin/sh\nexit 1\n")
    after = _artifacts(changes, worker_group("heavy"))
    assert len(set(before) ^ set(after)) == 2
    assert [_artifacts(changes, group) for group in others] == unchanged == [_artifacts({}, group) for group in others]


def test_the_script_is_an_object_of_the_artifacts_bucket_and_not_in_the_user_data(root: Path):
    marker = "never-in-user-data"
    (root / "start.sh").write_text(f"#!/bin/sh\n: {marker}\n")
    config = changed({HEAVY: "start.sh", "airflow:masters.startScript": "start.sh"})
    settings = load(config)
    own = [artifact for artifact in settings.node_artifacts if artifact.group]
    assert [artifact.group for artifact in own] == ["masters", "pool-heavy"]
    for group in settings.node_groups:
        assert marker not in settings.node_environment(group).render()
    wanted = set(_artifacts({HEAVY: "start.sh"}, worker_group("heavy"))) - set(_artifacts({}, worker_group("heavy")))
    assert wanted == {own[1].key}
    assert not any(artifact.group for artifact in load(content()).node_artifacts)


def test_the_scripts_of_two_groups_are_uploaded_under_names_of_their_own(root: Path):
    assert root
    config = changed({HEAVY: "start.sh", "airflow:masters.startScript": "start.sh"})
    _, recording = deploy(lambda: runpy.run_path(str(ROOT / "__main__.py")), config=config)
    names = {resource.name for resource in recording.of_type("aws:s3/bucketObjectv2:BucketObjectv2")}
    assert {"buckets-artifact-start-script-masters", "buckets-artifact-start-script-pool-heavy"} <= names
