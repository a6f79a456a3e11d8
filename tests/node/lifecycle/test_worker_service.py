from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.node.lifecycle.node_of import Outcome, unit
from tests.node.programs import load, module

systemd = module("airflow_node.systemd")
worker_service = module("lifecycle.worker_service")

TASK = {"pid": 77, "since": 1.0, "task": "etl manual__1 load try 1"}

EMPTY = '{"at": 1, "connected": true, "queues": [], "reserved": 0, "active": []}'
# As systemd 257 prints them, with a stop under way and without.
SHOWN = """\
Id={worker}
ActiveState={state}
MainPID={pid}
Job={job}

Id=shutdown.target
ActiveState=inactive
Job={shutdown}
"""


class _Systemctl:
    """Stands for `systemctl`: prints the output, or fails."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.output = ""
        self.error: systemd.SystemdError | None = None

    def __call__(self, *arguments: str, timeout_seconds: float) -> str:
        assert timeout_seconds <= 5, "the watchdog limits the length of a pass"
        self.commands.append(arguments)
        if self.error is not None:
            raise self.error
        return self.output


@pytest.fixture
def systemctl(monkeypatch: pytest.MonkeyPatch) -> _Systemctl:
    found = _Systemctl()
    monkeypatch.setattr(systemd, "systemctl", found)
    return found


def _shown(state: str, *, pid: int = 0, job: str = "", shutdown: str = "") -> str:
    return SHOWN.format(worker="airflow-worker.service", state=state, pid=pid, job=job, shutdown=shutdown)


def test_a_running_unit_is_read_with_its_main_process(systemctl: _Systemctl):
    systemctl.output = _shown("active", pid=812)
    found = worker_service.WorkerUnit().read()
    assert found == (worker_service.Unit(active_state="active", main_pid=812), False)


def test_a_stopping_unit_is_neither_up_nor_down(systemctl: _Systemctl):
    systemctl.output = _shown("deactivating", pid=812, job="977")
    found, _ = worker_service.WorkerUnit().read()
    assert not found.is_up
    assert not found.is_down


@pytest.mark.parametrize(("state", "has_job", "down"), [("failed", False, True), ("inactive", True, False)])
def test_a_unit_without_a_process_is_down_unless_it_has_a_job(state: str, has_job: bool, down: bool):
    assert unit(state, has_job=has_job).is_down is down


def test_a_shutdown_of_the_machine_is_read_while_it_waits_for_the_worker(systemctl: _Systemctl):
    systemctl.output = _shown("deactivating", shutdown="1")
    assert worker_service.WorkerUnit().read()[1] is True


@pytest.mark.parametrize(
    ("shown", "seconds"),
    [
        ("ExecMainStartTimestampMonotonic=61000000\nExecMainExitTimestampMonotonic=1861500000\n", 1800.5),
        ("ExecMainStartTimestampMonotonic=0\nExecMainExitTimestampMonotonic=0\n", 0.0),
        ("", 0.0),
    ],
)
def test_the_duration_of_the_admission_is_read(systemctl: _Systemctl, shown: str, seconds: float):
    systemctl.output = f"Id=airflow-admission.service\n{shown}"
    assert worker_service.WorkerUnit().admission_seconds() == seconds
    assert systemctl.commands[0][-1] == "airflow-admission.service"


def test_an_error_of_systemd_raises_nothing(systemctl: _Systemctl):
    systemctl.error = systemd.SystemdError("Failed to start: Transaction is destructive.")
    unit = worker_service.WorkerUnit()
    assert unit.read() == (None, False)
    assert unit.admission_seconds() == 0
    result = unit.start()
    assert (result.outcome, result.message) == (Outcome.FAILED, "Failed to start: Transaction is destructive.")


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_no_command_waits_for_its_job(systemctl: _Systemctl, verb: str):
    assert getattr(worker_service.WorkerUnit(), verb)().outcome == Outcome.DONE
    assert systemctl.commands == [(verb, "--no-block", "airflow-worker.service")]


def test_another_job_cannot_cancel_the_power_off(systemctl: _Systemctl):
    worker_service.WorkerUnit().power_off()
    assert systemctl.commands == [("start", "--no-block", "--job-mode=replace-irreversibly", "poweroff.target")]


def _write(path: Path, at: float, **changes: object) -> None:
    fields = {"at": at, "connected": True, "queues": ["default"], "reserved": 1, "active": [TASK]}
    path.write_text(json.dumps(fields | changes))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def test_the_state_file_is_where_the_worker_writes_it():
    assert worker_service.STATE_FILE == load("python/worker_report.py").STATE_FILE


def test_the_report_has_the_tasks_and_the_queues(path: Path):
    _write(path, 1000.0)
    worker = worker_service.StateFile(path).read(5.0)
    assert (worker.connected, worker.queues, worker.load) == (True, ("default",), 2)
    assert worker.tasks == ("etl manual__1 load try 1",)


def test_the_age_of_a_report_counts_from_the_last_change_of_the_file(path: Path):
    file = worker_service.StateFile(path)
    _write(path, 1000.0)
    file.read(5.0)
    _write(path, 999.0)
    assert file.read(6.0).is_fresh, "setting the clock back does not make a report older"
    assert file.read(20.5).is_fresh
    assert not file.read(21.5).is_fresh


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"at": 1}',
        '{"at": 1, "connected": true, "queues": 3}',
        '{"at": 1, "connected": true, "queues": [], "reserved": 1e999, "active": []}',
        "null",
        pytest.param("[" * 100_000, id="very deep"),
        pytest.param(EMPTY + " " * 1_000_000, id="very long"),
    ],
)
def test_a_state_file_that_cannot_be_read_gives_no_report(path: Path, text: str):
    path.write_text(text)
    assert worker_service.StateFile(path).read(1.0) is None


def test_a_pipe_in_place_of_the_state_file_does_not_block(path: Path):
    os.mkfifo(path)
    assert worker_service.StateFile(path).read(1.0) is None
    writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    assert worker_service.StateFile(path).read(1.0) is None, "nor does one with a writer"
    os.close(writer)


def test_the_last_report_is_kept_after_the_file_is_gone(path: Path):
    file = worker_service.StateFile(path)
    _write(path, 1000.0)
    file.read(5.0)
    path.unlink()
    assert file.read(6.0) is None
    assert file.last["active"] == [TASK], "it has the names of the tasks that still run"


@pytest.fixture
def tasks(tmp_path: Path) -> worker_service.RunningTasks:
    return worker_service.RunningTasks(worker_service.StateFile(tmp_path / "state.json"))


def test_the_number_of_tasks_is_unknown_while_systemd_does_not_answer(tasks: worker_service.RunningTasks):
    assert tasks.count(None) is None


def test_no_task_runs_without_a_worker(tasks: worker_service.RunningTasks):
    assert tasks.count(unit("inactive")) == 0
    assert tasks.end() == []


def test_tasks_are_found_below_the_main_process(tasks: worker_service.RunningTasks, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    monkeypatch.setattr(worker_service.task_processes, "running_tasks", lambda pid, _: asked.append(pid) or ["a", "b"])
    monkeypatch.setattr(worker_service.task_processes, "end_tasks", lambda pid, _: asked.append(pid) or ["a", "b"])
    assert tasks.count(worker_service.Unit(active_state="deactivating", main_pid=os.getpid())) == 2
    assert tasks.end() == ["a", "b"]
    assert asked == [os.getpid(), os.getpid()]
