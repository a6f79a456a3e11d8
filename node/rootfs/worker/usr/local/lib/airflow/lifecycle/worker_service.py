"""airflow-worker.service: its unit, the state file that the worker writes each second, and the tasks that it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import task_processes
from airflow_node import files, systemd
from airflow_node.systemd import SystemdError

from lifecycle.actions import DONE, Outcome, Result

WORKER = "airflow-worker.service"
ADMISSION = "airflow-admission.service"
SHUTDOWN = "shutdown.target"
SYSTEMCTL_SECONDS = 5.0
STATE_FILE = Path("/run/airflow-worker/state.json")
# A thousand tasks with the longest names that Airflow allows are less.
STATE_FILE_BYTES = 1_000_000
# The worker writes the file each second. A machine that is short of memory or processor time may need longer.
FRESH_SECONDS = 15.0
# Raised by reading a state file that a task has written.
UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """The unit as systemd describes it."""

    active_state: str
    main_pid: int = 0
    has_job: bool = False

    @property
    def is_down(self) -> bool:
        """Whether no process of it runs, and no job is about to start one."""
        return self.active_state in ("inactive", "failed") and not self.has_job

    @property
    def is_up(self) -> bool:
        """Whether it runs and is not stopping."""
        return self.active_state in ("active", "activating", "reloading")

    @property
    def is_stopping(self) -> bool:
        return self.active_state == "deactivating"


@dataclass(frozen=True, kw_only=True)
class WorkerReport:
    """The worker's state file.

    Attributes:
        age_seconds: time since the file last changed.
        connected: whether the worker has a connection to the broker.
        queues: the queues that it consumes now.
        reserved: tasks that it has taken and not started.
        tasks: the names of the tasks that it runs.
        failed_at_once: number of tasks that failed at once in the last minutes.
        others: number of all other tasks of the last minutes.
    """

    age_seconds: float
    connected: bool
    queues: tuple[str, ...]
    reserved: int
    tasks: tuple[str, ...]
    failed_at_once: int = 0
    others: int = 0

    @property
    def is_fresh(self) -> bool:
        return self.age_seconds <= FRESH_SECONDS

    @property
    def load(self) -> int:
        """Tasks that it runs or has reserved."""
        return self.reserved + len(self.tasks)


class WorkerUnit:
    """Reads and controls the unit. No method waits for a job of systemd to end."""

    def read(self) -> tuple[Unit | None, bool]:
        """The unit (None if systemd does not respond), and whether the machine is shutting down."""
        properties = ("ActiveState", "MainPID", "Job")
        try:
            worker, shutdown = systemd.show(WORKER, SHUTDOWN, properties=properties, timeout_seconds=SYSTEMCTL_SECONDS)
        except SystemdError:
            return None, False
        stopping = shutdown["ActiveState"] == "active" or bool(shutdown["Job"])
        unit = Unit(
            active_state=worker["ActiveState"], main_pid=int(worker["MainPID"] or 0), has_job=bool(worker["Job"])
        )
        return unit, stopping

    def admission_seconds(self) -> float:
        """How long airflow-admission has delayed the worker's start; 0 if systemd does not respond."""
        names = ("ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic")
        try:
            (times,) = systemd.show(ADMISSION, properties=names, timeout_seconds=SYSTEMCTL_SECONDS)
        except SystemdError:
            return 0.0
        started, ended = (int(times[name] or 0) / 1e6 for name in names)
        return max(0.0, ended - started)

    def start(self) -> Result:
        """Start the worker."""
        return self._control("start", WORKER)

    def stop(self) -> Result:
        """Stop the worker: it finishes its tasks first."""
        return self._control("stop", WORKER)

    def restart(self) -> Result:
        """Stop the worker and start it again."""
        return self._control("restart", WORKER)

    def power_off(self) -> Result:
        """Turn the machine off, as `systemctl poweroff` does, but without asking logind for permission."""
        return self._control("start", "--job-mode=replace-irreversibly", "poweroff.target")

    def _control(self, verb: str, *arguments: str) -> Result:
        try:
            systemd.systemctl(verb, "--no-block", *arguments, timeout_seconds=SYSTEMCTL_SECONDS)
        except SystemdError as error:
            return Result(Outcome.FAILED, str(error))
        return DONE


def read_state_file(path: Path) -> Any:
    """The content of the state file. Raises one of UNREADABLE."""
    return json.loads(files.read_untrusted(path, most_bytes=STATE_FILE_BYTES))


class StateFile:
    """Reads the state file. Its age counts from the last observed change, independent of the wall clock."""

    def __init__(self, path: Path = STATE_FILE) -> None:
        self._path = path
        self._written_at: Any = None
        self.last: Mapping[str, Any] | None = None
        """The last content, also after the file was deleted."""
        self._changed = 0.0

    def read(self, now: float) -> WorkerReport | None:
        """The report; None if the file is missing or cannot be read."""
        try:
            content = read_state_file(self._path)
            report = _report(content)
            if content["at"] != self._written_at:
                self._written_at, self._changed = content["at"], now
        except UNREADABLE:
            self._written_at = None
            return None
        self.last = content
        return replace(report, age_seconds=now - self._changed)


class RunningTasks:
    """Finds and ends the tasks' processes below the worker's main process, which waits for them when it stops."""

    def __init__(self, state_file: StateFile) -> None:
        self._state_file = state_file
        self._main_pid = 0

    def count(self, unit: Unit | None) -> int | None:
        """How many tasks run; None while systemd does not respond."""
        if unit is None:
            return None
        self._main_pid = unit.main_pid
        return len(task_processes.running_tasks(unit.main_pid, self._state_file.last)) if unit.main_pid else 0

    def end(self) -> list[str]:
        """End the tasks, so that Airflow retries them at once; returns their names."""
        return task_processes.end_tasks(self._main_pid, self._state_file.last) if self._main_pid else []


def _report(content: Any) -> WorkerReport:
    outcomes = content.get("outcomes", {})
    return WorkerReport(
        age_seconds=0.0,
        connected=bool(content["connected"]),
        queues=tuple(map(str, content["queues"])),
        reserved=int(content["reserved"]),
        tasks=tuple(str(task["task"]) for task in content["active"]),
        failed_at_once=max(0, int(outcomes.get("failed_at_once", 0))),
        others=max(0, int(outcomes.get("others", 0))),
    )
