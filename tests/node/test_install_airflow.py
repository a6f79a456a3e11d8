from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.node.programs import load

install_airflow = load("install-airflow")
MISMATCH = "error: Failed to install\n  Caused by: Hash mismatch for `celery==5.6.3`"


class _Machine:
    """Takes the commands of the installation; fails with the given messages first."""

    def __init__(self, *failures: str) -> None:
        self.failures = list(failures)
        self.commands: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str]) -> None:
        self.commands.append(command)
        if command[0].endswith("/uv") and command[1] == "pip" and self.failures:
            raise install_airflow.CommandFailedError(self.failures.pop(0))
        if "venv" in command[1:3]:
            Path(command[-1]).mkdir(parents=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/opt/airflow after the artifacts step."""
    monkeypatch.setattr(install_airflow.boot_step, "wait", lambda _: None)
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/airflow.txt").write_text("apache-airflow==3.3.2 --hash=sha256:0\n")
    (tmp_path / "artifacts/uv.txt").write_text("uv==0.13.8 --hash=sha256:0\n")
    return tmp_path


def test_everything_comes_from_a_lock_with_hashes_and_as_wheels(home: Path):
    machine = _Machine()
    install_airflow.install(home, machine)
    from_index = [command for command in machine.commands if "install" in command]
    assert [command[-1] for command in from_index] == [
        f"{home}/artifacts/uv.txt",
        f"{home}/artifacts/airflow.txt",
    ]
    for command in from_index:
        assert "--require-hashes" in command
        assert command[command.index("--only-binary") + 1] == ":all:", "a source distribution runs its own code as root"


def test_airflow_is_compiled_once_and_not_at_each_start(home: Path):
    machine = _Machine()
    install_airflow.install(home, machine)
    assert "--compile-bytecode" in machine.commands[-1]


def test_a_reboot_installs_nothing_again(home: Path):
    install_airflow.install(home, _Machine())
    again = _Machine()
    assert "was installed already" in install_airflow.install(home, again)
    assert again.commands == []


def test_another_lock_is_installed_from_scratch(home: Path):
    install_airflow.install(home, _Machine())
    (home / "venv/left-over").touch()
    (home / "artifacts/airflow.txt").write_text("apache-airflow==3.3.3 --hash=sha256:1\n")
    install_airflow.install(home, _Machine())
    assert not (home / "venv/left-over").exists()
    stamp = hashlib.sha256((home / "artifacts/airflow.txt").read_bytes()).hexdigest()
    assert (home / "venv/.lock-sha256").read_text() == stamp


def test_an_index_that_is_away_for_a_moment_is_waited_for(home: Path):
    machine = _Machine("error: connection reset", "error: connection reset")
    install_airflow.install(home, machine)
    assert len(machine.commands) == 3 * 4, "each attempt starts from the beginning"


def test_a_failed_installation_leaves_no_stamp_and_says_why(home: Path):
    with pytest.raises(
        install_airflow.StepFailedError, match=r"cannot be installed from the lock: error: no such wheel"
    ):
        install_airflow.install(home, _Machine(*["error:\n no such wheel"] * 9))
    assert not (home / "venv/.lock-sha256").exists()


def test_a_wrong_hash_is_not_tried_again(home: Path):
    machine = _Machine(MISMATCH)
    with pytest.raises(install_airflow.StepFailedError, match=r"Hash mismatch for `celery==5\.6\.3`"):
        install_airflow.install(home, machine)
    assert len(machine.commands) == 4


def test_the_output_of_a_failed_program_is_its_error():
    with pytest.raises(install_airflow.CommandFailedError, match="it broke"):
        install_airflow.run_command(["sh", "-c", "echo it broke >&2; exit 3"])
