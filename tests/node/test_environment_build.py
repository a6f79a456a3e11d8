from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.node.programs import module

build = module("environment_build")
MISMATCH = "error: Failed to install\n  Caused by: Hash mismatch for `celery==5.6.3`"
NAME = "uv-0.13.8-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"


class _Machine:
    """Takes the commands of the installation; fails with the given messages first."""

    def __init__(self, *failures: str) -> None:
        self.failures = list(failures)
        self.commands: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str]) -> None:
        self.commands.append(command)
        if "install" in command and self.failures:
            raise build.CommandFailedError(self.failures.pop(0))


def _wheel(program: bytes = b"#!/bin/sh\n") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("uv/__init__.py", b"")
        archive.writestr("uv-0.13.8.data/scripts/uv", program)
        archive.writestr("uv-0.13.8.data/scripts/uvx", b"another")
    return buffer.getvalue()


class _Index:
    """A package index with one version of uv for two machines."""

    def __init__(self, wheel: bytes, links: dict[str, bytes] | None = None) -> None:
        self.wheel = wheel
        links = links or {NAME: wheel, NAME.replace("x86_64", "aarch64"): b"for another machine"}
        self.page = "".join(
            f'<a href="../../packages/0a/{name}#sha256={hashlib.sha256(content).hexdigest()}">{name}</a>\n'
            for name, content in links.items()
        )

    def __call__(self, url: str) -> bytes:
        if url == build.UV_FILES:
            return self.page.encode()
        assert url == f"{build.urllib.parse.urljoin(build.UV_FILES, '../../packages/0a/')}{NAME}"
        return self.wheel

    def lock(self) -> str:
        hashes = build.re.findall("sha256=([0-9a-f]{64})", self.page)
        return "uv==0.13.8 \\\n" + " \\\n".join(f"    --hash=sha256:{one}" for one in hashes)


@pytest.fixture(autouse=True)
def machine_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.platform, "machine", lambda: "x86_64")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/opt/airflow after the artifacts step."""
    monkeypatch.setattr(build.boot_step, "wait", lambda _: None)
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/airflow.txt").write_text("apache-airflow==3.3.2 --hash=sha256:0\n")
    (tmp_path / "artifacts/uv.txt").write_text(_Index(_wheel()).lock())
    return tmp_path


def _build(home: Path, machine: _Machine) -> None:
    build.build(home, home / "venv", run=machine, fetch=_Index(_wheel()))


def test_airflow_comes_from_a_lock_with_hashes_and_as_wheels(home: Path):
    machine = _Machine()
    _build(home, machine)
    (command,) = [command for command in machine.commands if "install" in command]
    assert command[-2:] == ["--requirement", f"{home}/artifacts/airflow.txt"]
    assert "--require-hashes" in command
    assert command[command.index("--only-binary") + 1] == ":all:", "a source distribution runs its own code as root"
    assert "--compile-bytecode" in command, "else it is compiled at each start"


def test_the_environment_can_be_moved(home: Path):
    machine = _Machine()
    _build(home, machine)
    assert "--relocatable" in machine.commands[0]


def test_uv_is_the_one_of_its_lock_and_fits_the_machine(home: Path):
    index = _Index(_wheel(b"the program"))
    build.fetch_uv(index.lock(), home / "uv", index)
    assert (home / "uv").read_bytes() == b"the program"
    assert (home / "uv").stat().st_mode & 0o777 == 0o755


def test_a_uv_that_is_not_what_its_index_says_is_not_used(home: Path):
    index = _Index(_wheel())
    lock = index.lock()
    index.wheel = _wheel(b"something else")
    with pytest.raises(build.StepFailedError, match="has another hash than the lock says"):
        build.fetch_uv(lock, home / "uv", index)
    assert not (home / "uv").exists()


def test_a_uv_that_the_lock_does_not_know_is_not_used(home: Path):
    index = _Index(_wheel())
    with pytest.raises(build.StepFailedError, match=r"none of the files .* is a uv of the lock for this x86_64"):
        build.fetch_uv("uv==0.13.8", home / "uv", index)


def test_an_index_that_is_away_for_a_moment_is_waited_for(home: Path):
    machine = _Machine("error: connection reset", "error: connection reset")
    _build(home, machine)
    assert len(machine.commands) == 3 * 2, "each attempt starts from the beginning"


def test_a_failed_installation_says_why(home: Path):
    with pytest.raises(build.StepFailedError, match=r"cannot be installed from the lock: error: no such wheel"):
        _build(home, _Machine(*["error:\n no such wheel"] * 9))


def test_a_wrong_hash_is_not_tried_again(home: Path):
    machine = _Machine(MISMATCH)
    with pytest.raises(build.StepFailedError, match=r"Hash mismatch for `celery==5\.6\.3`"):
        _build(home, machine)
    assert len(machine.commands) == 2


def test_the_output_of_a_failed_program_is_its_error():
    with pytest.raises(build.CommandFailedError, match="it broke"):
        build.run_command(["sh", "-c", "echo it broke >&2; exit 3"])
