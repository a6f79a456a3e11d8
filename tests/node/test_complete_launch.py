from __future__ import annotations

import json
import os
from collections.abc import Callable
from http.client import IncompleteRead
from pathlib import Path

import pytest

from node.roles import Role
from tests.node.programs import load, load_of, module

complete_launch = load("complete-launch")
worker, master = (load_of(role, "readiness.py") for role in (Role.WORKER, Role.MASTER))
state_file = module("health.state_file")
AwsError = complete_launch.AwsError


class _Hook:
    """A launching hook: raises the errors first, then returns whether it waits."""

    def __init__(self, *errors: Exception, waits: bool = True) -> None:
        self.errors, self.waits = list(errors), waits
        self.calls: list[str] = []

    def complete(self, result: str) -> bool:
        return self._answer(result)

    def heartbeat(self) -> bool:
        return self._answer("heartbeat")

    def _answer(self, call: str) -> bool:
        self.calls.append(call)
        if self.errors:
            raise self.errors.pop(0)
        return self.waits


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """A clock that advances while the program waits: half a minute for each second, to save time."""
    now = [0.0]
    monkeypatch.setattr(complete_launch.retry, "wait", lambda seconds: now.__setitem__(0, now[0] + 30 * seconds))
    return lambda: now[0]


@pytest.mark.usefixtures("clock")
def test_a_node_that_is_ready_is_put_into_service():
    hook = _Hook()
    assert complete_launch.complete(hook) == "this node is in service"
    assert hook.calls == ["CONTINUE"]


@pytest.mark.usefixtures("clock")
def test_on_a_reboot_no_hook_waits_and_the_step_succeeds():
    assert "its group did not wait for it" in complete_launch.complete(_Hook(waits=False))


@pytest.mark.usefixtures("clock")
def test_a_failed_notification_of_the_group_is_retried(capsys: pytest.CaptureFixture[str]):
    hook = _Hook(OSError("no route"), IncompleteRead(b""), AwsError("Throttling", "Rate exceeded", 400))
    assert complete_launch.complete(hook) == "this node is in service"
    assert "The Auto Scaling group cannot be notified: Throttling: Rate exceeded" in capsys.readouterr().out


def test_while_a_migration_takes_hours_the_hook_gets_its_heartbeats(clock: Callable[[], float]):
    hook = _Hook(OSError("no route"))
    complete_launch.wait_for(
        lambda: clock() > 4 * 3600, hook, describe=worker.describe, started=lambda: False, clock=clock
    )
    assert len(hook.calls) >= 4 * 3600 / 700, "the hook gives up after an hour without one"


@pytest.mark.parametrize(("state", "started"), [("active", True), ("activating", False), ("inactive", False)])
def test_the_services_are_started_when_their_target_is_active(
    monkeypatch: pytest.MonkeyPatch, state: str, started: bool
):
    monkeypatch.setattr(
        complete_launch.systemd, "systemctl", lambda *_, **__: f"Id=airflow-node.target\nActiveState={state}\n"
    )
    assert complete_launch.services_are_started() is started


def test_while_systemd_does_not_answer_the_services_are_not_started(monkeypatch: pytest.MonkeyPatch):
    def systemctl(*_: str, **__: float) -> str:
        raise complete_launch.SystemdError("systemd does not answer")

    monkeypatch.setattr(complete_launch.systemd, "systemctl", systemctl)
    assert not complete_launch.services_are_started()


def test_services_that_run_and_do_no_work_are_a_failure(clock: Callable[[], float]):
    with pytest.raises(complete_launch.StepFailedError, match="have been running for 20 minutes and do no work"):
        complete_launch.wait_for(
            lambda: False, _Hook(), describe=worker.describe, started=lambda: clock() > 7200, clock=clock
        )
    assert 7200 + 1200 < clock() < 7200 + 1300


@pytest.mark.parametrize(
    ("told", "ready"),
    [
        ({"at": 100.0, "connected": True}, True),
        ({"at": 100.0, "connected": False}, False),
        ({"at": 80.0, "connected": True}, False),
        ([], False),
        ({}, False),
    ],
    ids=["connected", "not connected", "long ago", "something else", "nothing"],
)
def test_a_worker_is_ready_when_it_is_connected_now(told: object, ready: bool, tmp_path: Path):
    (tmp_path / "state.json").write_text(json.dumps(told))
    assert worker.is_ready(tmp_path / "state.json", lambda: 101.0) is ready


@pytest.mark.parametrize("text", ["[" * 100_000, "x" * 2_000_000])
def test_a_worker_whose_file_a_task_has_replaced_is_not_ready(text: str, tmp_path: Path):
    (tmp_path / "state.json").write_text(text)
    assert not worker.is_ready(tmp_path / "state.json")


def test_a_pipe_in_place_of_the_file_does_not_block_the_boot(tmp_path: Path):
    os.mkfifo(tmp_path / "state.json")
    assert not worker.is_ready(tmp_path / "state.json")


def test_a_worker_that_has_not_written_its_state_is_not_ready(tmp_path: Path):
    assert not worker.is_ready(tmp_path / "state.json")


@pytest.mark.parametrize(
    ("told", "ready"),
    [
        ({"at": 100.0, "troubles": {}}, True),
        ({"at": 100.0, "troubles": {"triggerer": "is activating, after 9 restarts"}}, False),
        ({"at": 10.0, "troubles": {}}, False),
        ([], False),
        ({}, False),
    ],
    ids=["all work", "one does not", "long ago", "something else", "nothing"],
)
def test_a_master_is_ready_when_all_of_its_services_work_now(told: object, ready: bool, tmp_path: Path):
    (tmp_path / "state.json").write_text(json.dumps(told))
    assert (state_file.read(tmp_path / "state.json", lambda: 101.0) == {}) is ready


def test_a_master_without_a_report_about_its_services_is_not_ready(tmp_path: Path):
    assert state_file.read(tmp_path / "state.json")


def test_the_failure_of_a_master_that_does_not_become_ready_names_the_services(
    clock: Callable[[], float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    state_file.write({"triggerer": "is activating, after 99 restarts"}, tmp_path / "state.json")
    read = state_file.read
    monkeypatch.setattr(state_file, "read", lambda: read(tmp_path / "state.json"))
    assert not master.is_ready()
    with pytest.raises(complete_launch.StepFailedError, match="airflow-triggerer is activating, after 99 restarts"):
        complete_launch.wait_for(master.is_ready, _Hook(), describe=master.describe, started=lambda: True, clock=clock)
