from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.stack_file import ROOT


def test_the_preview_comment_contains_no_compressed_user_data():
    jobs = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())["jobs"]
    [preview] = [
        step["with"] for step in jobs["preview"]["steps"] if step.get("uses", "").startswith("pulumi/actions@")
    ]
    assert preview["comment-on-pr"]
    assert "diff" not in preview, "a diff prints every property in full"


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
EXAMPLE = ROOT / "examples/dag-repository/.github/workflows/dags.yml"


def _jobs(workflow: Path) -> dict[str, Any]:
    return yaml.safe_load(workflow.read_text())["jobs"]


def _steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in _jobs(workflow).values() for step in job["steps"]]


@pytest.mark.parametrize("workflow", [*WORKFLOWS, EXAMPLE], ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit_and_no_checkout_leaves_a_token(workflow: Path):
    for step in _steps(workflow):
        if uses := step.get("uses"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", uses), uses
            assert not uses.startswith("actions/checkout@") or step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("workflow", [*WORKFLOWS, EXAMPLE], ids=lambda path: path.name)
def test_no_script_contains_an_expression(workflow: Path):
    """What GitHub puts into a script is run as a part of it: a branch may be named `$(curl ...)`."""
    assert not [step["run"] for step in _steps(workflow) if "${{" in step.get("run", "")]


def test_the_dag_repositorys_pull_requests_get_no_role():
    workflow, jobs = yaml.safe_load(EXAMPLE.read_text()), _jobs(EXAMPLE)
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in jobs["check"]
    assert jobs["check"]["if"] == "github.event_name == 'pull_request'"
    assert jobs["publish"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert jobs["publish"]["if"] == "github.event_name == 'push'"


@pytest.mark.parametrize(("job", "arguments"), [("check", ["check"]), ("publish", ["publish", "--check"])])
@pytest.mark.parametrize("fails", [False, True])
def test_the_dag_repositorys_scripts_run_and_show_what_was_said(
    tmp_path: Path, job: str, arguments: list[str], fails: bool
):
    """With this repository's Makefile, and a stand-in for its Python."""
    (tmp_path / "cluster/.venv/bin").mkdir(parents=True)
    (tmp_path / "cluster/Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "cluster/requirements-dev.txt").touch()
    python = tmp_path / "cluster/.venv/bin/python"
    python.write_text(f'#!/bin/sh\necho "$@"; exit {int(fails)}\n')
    python.chmod(0o755)
    (tmp_path / "cluster/.venv/.installed").touch()
    summary = tmp_path / "summary"
    script = _jobs(EXAMPLE)[job]["steps"][-1]["run"]
    environment = {"PATH": os.environ["PATH"], "STACK": "dev", "BUNDLE": "team", "GITHUB_STEP_SUMMARY": str(summary)}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == int(fails), done.stderr
    said = done.stdout.splitlines()[0].split()
    assert said[:4] == ["-m", "dags", arguments[0], str(tmp_path / "team/dags")]
    assert said[4:6] == ["--stack", "dev"]
    assert set(arguments[1:]) <= set(said)
    assert summary.read_text().startswith(f"```\n{' '.join(said)}")
