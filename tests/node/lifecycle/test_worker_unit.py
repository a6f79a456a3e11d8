from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

from tests.node.lifecycle.node_of import Outcome, unit
from tests.node.programs import module

worker_unit = module("lifecycle.worker_unit")

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


class _Systemd:
    def __init__(self, output: str = "", *, code: int = 0, error: str = "") -> None:
        self.commands: list[list[str]] = []
        self._answer = (code, output, error)

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.commands.append(list(command))
        code, output, error = self._answer
        return subprocess.CompletedProcess(list(command), code, output, error)


def _shown(state: str, *, pid: int = 0, job: str = "", shutdown: str = "") -> str:
    return SHOWN.format(worker="airflow-worker.service", state=state, pid=pid, job=job, shutdown=shutdown)


def test_a_running_worker_is_seen_with_its_process():
    found = worker_unit.WorkerUnit(_Systemd(_shown("active", pid=812))).look()
    assert found == (worker_unit.Unit(active_state="active", main_pid=812), False)


def test_a_worker_that_stops_is_neither_up_nor_down():
    found, _ = worker_unit.WorkerUnit(_Systemd(_shown("deactivating", pid=812, job="977"))).look()
    assert not found.is_up
    assert not found.is_down


@pytest.mark.parametrize(("state", "has_job", "down"), [("failed", False, True), ("inactive", True, False)])
def test_a_unit_is_down_when_nothing_will_start_it(state: str, has_job: bool, down: bool):
    assert unit(state, has_job=has_job).is_down is down


def test_a_shutdown_of_the_machine_is_seen_while_it_waits_for_the_worker():
    assert worker_unit.WorkerUnit(_Systemd(_shown("deactivating", shutdown="1"))).look()[1] is True


@pytest.mark.parametrize(
    ("shown", "seconds"),
    [
        ("ExecMainStartTimestampMonotonic=61000000\nExecMainExitTimestampMonotonic=1861500000\n", 1800.5),
        ("ExecMainStartTimestampMonotonic=0\nExecMainExitTimestampMonotonic=0\n", 0.0),
        ("", 0.0),
    ],
)
def test_the_time_for_which_a_worker_was_held_back_is_known(shown: str, seconds: float):
    systemd = _Systemd(shown)
    assert worker_unit.WorkerUnit(systemd).admission_seconds() == seconds
    assert systemd.commands[0][-1] == "airflow-admission.service"


@pytest.mark.parametrize("error", [subprocess.TimeoutExpired("systemctl", 5), BlockingIOError("no more processes")])
def test_the_state_is_unchanged_while_systemd_does_not_answer(error: Exception):
    def hangs(_: Sequence[str]) -> subprocess.CompletedProcess[str]:
        raise error

    assert worker_unit.WorkerUnit(hangs).look() == (None, False)
    assert worker_unit.WorkerUnit(hangs).stop().outcome == Outcome.FAILED
    assert worker_unit.WorkerUnit(_Systemd(code=1)).look() == (None, False)


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_no_command_waits_for_the_worker(verb: str):
    systemd = _Systemd()
    assert getattr(worker_unit.WorkerUnit(systemd), verb)().outcome == Outcome.DONE
    assert systemd.commands == [["systemctl", verb, "--no-block", "airflow-worker.service"]]


def test_turning_the_machine_off_cannot_be_undone_by_another_job():
    systemd = _Systemd()
    worker_unit.WorkerUnit(systemd).power_off()
    assert systemd.commands == [
        ["systemctl", "start", "--no-block", "--job-mode=replace-irreversibly", "poweroff.target"]
    ]


def test_a_refusal_is_told_in_systemds_words():
    result = worker_unit.WorkerUnit(_Systemd(code=1, error="Failed to start: Transaction is\ndestructive.\n")).start()
    assert (result.outcome, result.message) == (Outcome.FAILED, "Failed to start: Transaction is destructive.")
