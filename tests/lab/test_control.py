"""Other processes reach the running lab through its socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import control
from lab.control import Control, RemoteGroups
from lab.progress import LabError


@pytest.fixture(autouse=True)
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "control"
    monkeypatch.setattr(control, "SOCKET", path)
    return path


@pytest.fixture
def asked() -> list[tuple[object, ...]]:
    return []


@pytest.fixture
def running(asked: list[tuple[object, ...]]) -> Iterator[Control]:
    """A lab's process that notes what it is asked."""
    running = Control(
        {"nodes": lambda: ["a node"], "interrupt": lambda *given: asked.append(given), "kill": lambda _: 1 / 0}
    )
    yield running
    running.close()


@pytest.mark.usefixtures("running")
def test_a_call_returns_what_the_labs_process_returns(asked: list[tuple[object, ...]]):
    groups = RemoteGroups()
    assert groups.call("nodes") == ["a node"]
    groups.call("interrupt", "a node", 120)
    assert asked == [("a node", 120)]


@pytest.mark.usefixtures("running")
def test_several_processes_are_answered_at_once():
    first, second = RemoteGroups(), RemoteGroups()
    assert first.call("nodes") == second.call("nodes") == first.call("nodes")


@pytest.mark.usefixtures("running")
def test_an_error_in_the_labs_process_is_raised_with_its_message():
    with pytest.raises(LabError, match="kill failed: ZeroDivisionError"):
        RemoteGroups().call("kill", "a node")


def test_without_a_lab_the_error_says_how_to_start_one():
    with pytest.raises(LabError, match="make lab"):
        RemoteGroups()


def test_the_socket_is_gone_when_the_lab_has_ended(running: Control, socket: Path):
    running.close()
    assert not socket.exists()
