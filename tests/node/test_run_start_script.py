from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from node.roles import Role
from tests.node import node_root
from tests.node.programs import load

run_start_script = load("run-start-script")
TOLD = ("NODE_CLUSTER", "NODE_ROLE", "NODE_POOL", "AWS_REGION")
failed = run_start_script.StepFailedError
# What systemd-run does with the command, without a systemd: only the variables that it is given, in another folder.
SYSTEMD_RUN = """#!/usr/bin/python3
import os, sys
options = [word for word in sys.argv[1:] if word.startswith("-")]
given = [word.removeprefix("--setenv=") for word in options if word.startswith("--setenv=")]
variables = [word if "=" in word else f"{word}={os.environ[word]}" for word in given]
os.execv("/usr/bin/env", ["env", "-i", "PATH=/usr/bin:/bin", *variables, sys.argv[-1]])
"""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node's folder with a systemd-run."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemd-run").write_text(SYSTEMD_RUN)
    (tmp_path / "bin/systemd-run").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    for name in TOLD:
        monkeypatch.setenv(name, name.lower())
    return tmp_path


def _run(node: Path, *lines: str) -> str:
    script = node / "start-script"
    script.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    script.chmod(0o644)  # as fetch-artifacts leaves it
    return run_start_script.run(script, node / "done")


def test_the_script_runs_once_in_the_life_of_a_node(node: Path):
    assert "has run (" not in _run(node, f"echo ran >>{node}/log")
    assert _run(node, f"echo ran >>{node}/log").endswith("has run already")
    assert (node / "log").read_text() == "ran\n"


def test_a_script_that_was_interrupted_runs_again(node: Path):
    lines = f"echo ran >>{node}/log", f"[ -e {node}/second ] || {{ touch {node}/second; exit 1; }}"
    with pytest.raises(failed):
        _run(node, *lines)
    assert _run(node, *lines).endswith("has run")
    assert (node / "log").read_text() == "ran\nran\n"


def test_a_node_without_a_script_goes_on(node: Path):
    assert run_start_script.run(node / "missing", node / "done") == "There is no start script"


def test_a_failure_is_told_with_its_code_and_the_last_lines_of_both_outputs(node: Path):
    lines = [f"echo line {number}" for number in range(9)]
    with pytest.raises(failed, match=r"^exit code 7; its last lines: line 7 \| line 8 \| no disk \| late \| bye$"):
        _run(node, *lines, "echo no disk >&2", "echo late; echo; printf bye; exit 7")


def test_a_script_whose_interpreter_is_missing_fails(node: Path):
    script = node / "start-script"
    script.write_text("#!/nowhere/sh\n")
    with pytest.raises(failed, match="exit code"):
        run_start_script.run(script, node / "done")


def test_all_that_the_script_prints_is_in_the_journal_and_not_on_the_console(
    node: Path, capfd: pytest.CaptureFixture[str]
):
    _run(node, "echo installed; head --bytes=5000 /dev/zero | tr '\\0' x; printf '\\377'")
    out, journal = capfd.readouterr()
    assert out == ""
    assert journal.startswith("installed\nxxx")
    settings = node_root.settings(node_root.build(node / "root", Role.WORKER), "airflow-setup.service")
    assert (settings["StandardOutput"], settings["StandardError"]) == (["journal+console"], ["journal"])


def test_the_script_learns_which_node_it_is_on_and_nothing_else(node: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "hush")
    _run(node, f"env | cut -d= -f1 | sort >{node}/env")
    assert set((node / "env").read_text().split()) - {"PWD", "SHLVL", "_"} == {
        *(*TOLD, "HOME", "PATH", "LC_ALL", "DEBIAN_FRONTEND"),
    }


def test_systemd_ends_a_script_at_its_limit_and_the_reason_says_so(node: Path, monkeypatch: pytest.MonkeyPatch):
    assert f"--property=RuntimeMaxSec={run_start_script.LIMIT_SECONDS}" in run_start_script.IN_ITS_OWN_UNIT
    monkeypatch.setattr(run_start_script, "LIMIT_SECONDS", 0)
    with pytest.raises(failed, match=r"^it was ended after 0 minutes; its last lines: waiting$"):
        _run(node, "echo waiting; exit 1")


def test_the_stamp_is_the_hash_of_the_script(node: Path):
    _run(node, "true")
    assert (node / "done").read_text() == hashlib.sha256((node / "start-script").read_bytes()).hexdigest()
