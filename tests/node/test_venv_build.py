from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.node.programs import module

build = module("airflow_node.venv_build")
MISMATCH = "error: Failed to install\n  Caused by: Hash mismatch for `celery==5.6.3`"


class _Machine:
    """Takes the commands of the installation; fails with the given messages first."""

    def __init__(self, *failures: str) -> None:
        self.failures = list(failures)
        self.commands: list[Sequence[str]] = []
        self.indexes: list[Mapping[str, str]] = []

    def __call__(self, command: Sequence[str], index: Mapping[str, str]) -> None:
        self.commands.append(command)
        self.indexes.append(index)
        if "install" in command and self.failures:
            raise build.CommandFailedError(self.failures.pop(0))


@pytest.fixture
def home(tmp_path: Path, waits: list[float]) -> Path:
    """/opt/airflow after the artifacts step."""
    assert waits == []
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/airflow.txt").write_text("apache-airflow==3.3.2 --hash=sha256:0\n")
    (tmp_path / "artifacts/uv.txt").write_text("uv==0.13.8 --hash=sha256:0\n")
    return tmp_path


INDEX = {"UV_INDEX": "private=https://packages.example.com/simple/", "UV_INDEX_PRIVATE_PASSWORD": "hush"}


def _build(home: Path, machine: _Machine, *, has_pip: bool = True) -> list[list[str]]:
    """Build the environment; returns the Debian packages of each call of apt."""
    installed: list[list[str]] = []
    build.build(home, home / "venv", INDEX, run=machine, has_pip=lambda: has_pip, install=installed.append)
    return installed


@pytest.mark.parametrize(("which", "lock"), [(0, "uv.txt"), (1, "airflow.txt")])
def test_uv_and_airflow_come_from_locks_with_hashes_and_as_wheels(home: Path, which: int, lock: str):
    machine = _Machine()
    _build(home, machine)
    command = [command for command in machine.commands if "install" in command][which]
    assert command[-2:] == ["--requirement", f"{home}/artifacts/{lock}"]
    assert "--require-hashes" in command
    assert command[command.index("--only-binary") + 1] == ":all:", "a source distribution runs its own code as root"


def test_airflow_is_compiled_once_and_not_at_each_start(home: Path):
    machine = _Machine()
    _build(home, machine)
    assert "--compile-bytecode" in machine.commands[-1]


def test_debian_is_asked_for_pip_only_where_it_is_missing(home: Path):
    assert _build(home, _Machine()) == []
    assert _build(home, _Machine(), has_pip=False) == [["python3-venv"]]


def test_the_environment_can_be_moved(home: Path):
    machine = _Machine()
    _build(home, machine)
    (command,) = [command for command in machine.commands if command[1] == "venv"]
    assert "--relocatable" in command


def test_an_index_that_is_away_for_a_moment_is_waited_for(home: Path):
    machine = _Machine("error: connection reset", "error: connection reset")
    _build(home, machine)
    assert machine.commands[:2] == machine.commands[2:4] == machine.commands[4:6], (
        "each attempt starts from the beginning"
    )


def test_a_failed_installation_says_why(home: Path):
    with pytest.raises(build.StepFailedError, match=r"cannot be installed from the lock: error: no such wheel"):
        _build(home, _Machine(*["error:\n no such wheel"] * 999))


def test_a_wrong_hash_is_not_tried_again(home: Path):
    machine = _Machine(MISMATCH)
    with pytest.raises(build.StepFailedError, match=r"Hash mismatch for `celery==5\.6\.3`"):
        _build(home, machine)
    assert len(machine.commands) == 2


@pytest.mark.parametrize("error", [build.StepFailedError("the disk is too small"), TypeError("a fault of the program")])
def test_an_error_of_another_kind_is_final(home: Path, waits: list[float], error: Exception):
    def fail(*_: object) -> None:
        raise error

    with pytest.raises(type(error), match=str(error)):
        build.build(home, home / "venv", INDEX, run=fail, has_pip=lambda: True)
    assert waits == []


def test_the_output_of_a_failed_program_is_its_error():
    with pytest.raises(build.CommandFailedError, match="it broke"):
        build.run_command(["sh", "-c", "echo it broke >&2; exit 3"], {})


def test_the_package_index_reaches_uv_and_pip_as_variables_and_no_list_of_processes(home: Path):
    machine = _Machine()
    _build(home, machine)
    assert machine.indexes == [INDEX] * len(machine.commands)
    assert not [word for command in machine.commands for word in command if "hush" in word or "example.com" in word]
    build.run_command(["sh", "-c", 'test "$UV_INDEX_PRIVATE_PASSWORD" = hush'], INDEX)
