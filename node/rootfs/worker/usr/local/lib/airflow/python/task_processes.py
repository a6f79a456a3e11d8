"""Ends the tasks of this node's Celery worker so that Airflow retries them at once.

Below the worker's main process are Celery's pool processes. A pool process that runs a task is the task's supervisor:
it has forked a process for the task, reports how that ends, and uploads the log. So supervisors get no signal. On
SIGTERM, a task's own process calls the operator's `on_kill`, which stops what the task has started elsewhere or in a
shell; Python code may continue. SIGINT ends Python code, too. For the supervisor both are a failure: `up_for_retry`, if
a retry is left. SIGKILL ends processes that ignore both; Airflow's log then says that memory may have run out.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRACE_SECONDS = 10.0
SECONDS_AFTER_INTERRUPT = 1.0
CHECK_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process in /proc. Its start time, in clock ticks, distinguishes it from a later process with the same id."""

    pid: int
    parent: int
    started: int


@dataclass(frozen=True, kw_only=True)
class RunningTask:
    """A running task and its process."""

    name: str
    process: Process


def read_process(pid: int, proc: Path = Path("/proc")) -> Process | None:
    """The process; None if it has ended. A zombie has ended, too."""
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is a name in brackets, which may hold anything. The others are described in proc_pid_stat(5).
    fields = stat.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    return Process(pid=pid, parent=int(fields[1]), started=int(fields[19]))


def running_tasks(main_pid: int, last_state: Mapping[str, Any] | None) -> list[RunningTask]:
    """The tasks that run below the worker's main process.

    The names are those of the last state that the worker wrote (state.json). During its shutdown that may be an old
    one; a task that is missing there is named after its process.
    """
    processes = _processes()
    supervisors = {process.pid for process in processes if process.parent == main_pid}
    names = _names(last_state)
    return [
        RunningTask(name=names.get(process.parent, f"unknown (process {process.pid})"), process=process)
        for process in processes
        if process.parent in supervisors
    ]


def end_tasks(
    main_pid: int, last_state: Mapping[str, Any] | None, *, grace_seconds: float = GRACE_SECONDS
) -> list[str]:
    """End the tasks below the worker's main process; returns their names.

    Each has `grace_seconds` after SIGTERM; the call takes at most a second longer. Afterwards the supervisors need a
    few seconds to report and to upload the logs.
    """
    tasks = running_tasks(main_pid, last_state)
    # Collected now, because processes leave the tree: the children of a shell get another parent when the shell ends.
    found = _with_descendants(task.process for task in tasks)
    _signal(found, signal.SIGTERM)
    _await_end(tasks, grace_seconds)
    _signal((task.process for task in tasks), signal.SIGINT)
    _await_end(tasks, SECONDS_AFTER_INTERRUPT)
    _signal(_with_descendants(process for process in found if _lives(process)), signal.SIGKILL)
    return [task.name for task in tasks]


def _await_end(tasks: Iterable[RunningTask], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(_lives(task.process) for task in tasks):
        time.sleep(CHECK_SECONDS)


def _names(last_state: Mapping[str, Any] | None) -> dict[int, str]:
    """The tasks' names by supervisor. Tasks can write the file, so values may have any type."""
    names: dict[int, str] = {}
    with suppress(TypeError, KeyError, AttributeError):
        for active in (last_state or {})["active"]:
            names[active["pid"]] = str(active["task"])
    return names


def _with_descendants(roots: Iterable[Process]) -> list[Process]:
    """The processes, each before its children."""
    children: dict[int, list[Process]] = {}
    for process in _processes():
        children.setdefault(process.parent, []).append(process)
    found = list(roots)
    for process in found:
        found.extend(child for child in children.get(process.pid, []) if child not in found)
    return found


def _signal(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        if _lives(process):
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _lives(process: Process) -> bool:
    now = read_process(process.pid)
    return now is not None and now.started == process.started


def _processes() -> list[Process]:
    found = (read_process(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return sorted((process for process in found if process is not None), key=lambda process: process.pid)
