from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import boto3
import pytest

from tests.node import package_indexes
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


def test_airflow_is_compiled_once_and_not_at_each_start_and_runs_no_code_of_its_packages(home: Path):
    """Everything but uv's own installation is real. A Python that sees the package runs its .pth file."""
    ran, file = home / "ran", home / f"tool-1.0-{package_indexes.TAG}.whl"
    files = {"tool.pth": f"import os; os.mkdir({str(ran)!r})\n", "broken.py": "print 'old'"}
    file.write_bytes(package_indexes.wheel("tool", "1.0", files=files))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    (home / "artifacts/airflow.txt").write_text(f"tool @ file://{file} --hash=sha256:{sha256}\n")
    (home / "uv/bin").mkdir(parents=True)
    (home / "uv/bin/uv").symlink_to(Path(sys.executable).with_name("uv"))
    locks = home / "artifacts/uv.txt", home / "venv", home / "artifacts/airflow.txt"
    for command in build.commands(home / "uv", *locks)[2:]:
        build.run_command(command, {"UV_CACHE_DIR": str(home / "cache"), "UV_OFFLINE": "1"})
    [compiled] = home.glob("venv/lib/python3*/site-packages/__pycache__/*.pyc")
    assert compiled.name.startswith("tool.")
    assert not ran.exists()
    subprocess.run([home / "venv/bin/python", "-c", "import tool"], check=True)
    assert ran.exists(), "else this test shows nothing"


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


STACK_INDEX = {"NODE_PACKAGE_INDEX": "https://packages.example.com/simple/", "NODE_PYPI": "true"}
SECRET = {"NODE_PACKAGE_INDEX_SECRET": "package-index"}


def test_without_a_package_index_uv_and_pip_get_no_variables():
    assert build.index_variables({}) == {}


def test_an_index_without_credentials_needs_no_secret():
    assert build.index_variables(STACK_INDEX) == {"UV_INDEX": "private=https://packages.example.com/simple/"}


def test_the_credentials_of_the_index_come_from_its_secret(aws_over_http: boto3.Session):
    secret = json.dumps({"username": "reader", "password": "p%41@:/#?w& d"})
    aws_over_http.client("secretsmanager").create_secret(Name="package-index", SecretString=secret)
    found = build.index_variables(STACK_INDEX | SECRET | {"NODE_PYPI": "false"})
    assert found == {
        "UV_DEFAULT_INDEX": "private=https://packages.example.com/simple/",
        "UV_INDEX_PRIVATE_USERNAME": "reader",
        "UV_INDEX_PRIVATE_PASSWORD": "p%41@:/#?w& d",
        "PIP_INDEX_URL": "https://reader:p%2541%40%3A%2F%23%3Fw%26%20d@packages.example.com/simple/",
    }


@pytest.mark.parametrize("value", ["hush", '{"username": "hush"}'])
def test_a_secret_of_the_index_in_another_format_is_named_and_not_quoted(aws_over_http: boto3.Session, value: str):
    aws_over_http.client("secretsmanager").create_secret(Name="package-index", SecretString=value)
    failed = build.StepFailedError
    with pytest.raises(failed, match="the secret package-index cannot be used: it must be JSON") as failure:
        build.index_variables(STACK_INDEX | SECRET)
    assert "hush" not in str(failure.value)


@pytest.mark.usefixtures("aws_over_http")
def test_the_error_for_a_missing_secret_of_the_index_names_the_setting():
    with pytest.raises(build.StepFailedError, match=r"airflow:packageIndex\.credentialsSecret"):
        build.index_variables(STACK_INDEX | SECRET)
