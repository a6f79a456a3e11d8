"""Kills processes that tasks leave behind: background processes, sessions of their own, orphans of a supervisor.

Each process of Celery's pool supervises one task at a time, in a cgroup of its own. All processes that the task starts
belong to that cgroup, even after their parents have ended. When the task has ended, the supervisor kills the remaining
ones. When the supervisor itself has ended, usually killed by the kernel for lack of memory, Celery's main process kills
them before Celery reports the task as failed and Airflow may run it again.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import task_processes
from celery.concurrency import asynpool, get_implementation, prefork
from celery.signals import task_postrun, worker_init, worker_process_init, worker_ready
from celery.utils.log import get_logger

CGROUPS = Path("/sys/fs/cgroup")
PREFIX = "supervisor-"
PERIOD_SECONDS = 1.0
# A killed process that waits for a disk or a network file system ends only when that responds.
KILL_SECONDS = 5.0
KILL_AGAIN_SECONDS = 0.01

logger = get_logger(__name__)


def own_cgroup(top: Path) -> Path:
    """This process's cgroup: of version 2 or, on a host with version 1, in systemd's hierarchy."""
    is_unified = (top / "cgroup.controllers").exists()
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == ("" if is_unified else "name=systemd"):
            return (top if is_unified else top / "systemd") / path.lstrip("/")
    raise FileNotFoundError(f"this process has no cgroup below {top}")


class TaskCgroups:
    """The supervisors' cgroups, below that of Celery's main process, which creates this object."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._main_pid = os.getpid()
        self._failed: set[Path] = set()

    def enter(self) -> None:
        """Move this process, a supervisor, into a cgroup of its own."""
        cgroup = self._cgroup(os.getpid())
        cgroup.mkdir(exist_ok=True)
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))

    def kill_others(self) -> list[str]:
        """Kill all other processes in this supervisor's cgroup; returns their names and ids."""
        return _kill(self._cgroup(os.getpid()), spare=os.getpid())

    def kill_abandoned(self) -> dict[int, list[str]]:
        """Kill the processes of supervisors that have ended; returns their names by the supervisor's id."""
        ended: dict[int, list[str]] = {}
        for cgroup in sorted(self._parent.glob(f"{PREFIX}*")):
            number = cgroup.name.removeprefix(PREFIX)
            if not number.isdecimal():
                # A task may create cgroups here, too.
                _remove(cgroup)
                continue
            try:
                if killed := self._end(cgroup, int(number)):
                    ended[int(number)] = killed
            except OSError as error:
                if cgroup not in self._failed:
                    logger.warning("Processes of the lost task supervisor %s cannot be killed: %s", number, error)
                self._failed.add(cgroup)
        return ended

    def _end(self, cgroup: Path, supervisor: int) -> list[str]:
        if self._lives(supervisor):
            return []
        killed = _kill(cgroup)
        _remove(cgroup)
        return killed

    def _cgroup(self, supervisor: int) -> Path:
        return self._parent / f"{PREFIX}{supervisor}"

    def _lives(self, supervisor: int) -> bool:
        """Whether the id belongs to a running process of the pool, not to a zombie or a later process."""
        process = task_processes.read_process(supervisor)
        return process is not None and process.parent == self._main_pid


def _kill(cgroup: Path, *, spare: int = 0) -> list[str]:
    """Kill until no process is left: a process may fork before it is killed."""
    killed: dict[int, str] = {}
    deadline = time.monotonic() + KILL_SECONDS
    while left := [pid for pid in _members(cgroup) if pid != spare]:
        for pid in left:
            killed.setdefault(pid, _name(pid))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() >= deadline:
            break
        time.sleep(KILL_AGAIN_SECONDS)
    return [f"{name} ({pid})" for pid, name in killed.items()]


def _members(cgroup: Path) -> Iterator[int]:
    """The processes in the cgroup and in those that a task has created below it."""
    for file in cgroup.rglob("cgroup.procs"):
        # The cgroup may be removed while it is read.
        with suppress(OSError):
            # Zero stands for a process of another PID namespace.
            yield from (pid for pid in map(int, file.read_text().split()) if pid)


def _name(pid: int) -> str:
    """The name of its program, without the arguments, which may hold secrets."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return "unknown"


def _remove(cgroup: Path) -> None:
    for directory, _, _ in os.walk(cgroup, topdown=False):
        with suppress(OSError):
            Path(directory).rmdir()


class _Pool(asynpool.AsynPool):
    def process_flush_queues(self, proc: Any) -> None:
        """Celery's first step after a process of the pool has ended. It reports the task as failed later."""
        _kill_abandoned()
        super().process_flush_queues(proc)


class TaskPool(prefork.TaskPool):
    """Celery's own pool, which also kills the processes that an ended pool process has left behind."""

    Pool = _Pool


_cgroups: TaskCgroups | None = None
_one_at_a_time = threading.Lock()


@worker_init.connect
def _install(sender: Any, **_: Any) -> None:
    """Called before Celery creates its pool."""
    global _cgroups
    if get_implementation(sender.pool_cls) is not prefork.TaskPool:
        return
    try:
        _cgroups = TaskCgroups(own_cgroup(CGROUPS))
    except OSError as error:
        logger.warning("Processes that tasks leave behind will not be killed: %s", error)
        return
    sender.pool_cls = TaskPool


@worker_process_init.connect
def _enter(**_: Any) -> None:
    if _cgroups is not None:
        try:
            _cgroups.enter()
        except OSError as error:
            logger.warning("Processes that tasks leave behind will not be killed when the tasks end: %s", error)


@task_postrun.connect
def _kill_others(**_: Any) -> None:
    if _cgroups is not None and (ended := _cgroups.kill_others()):
        logger.warning("A task has ended; killed what it left behind: %s.", ", ".join(ended))


@worker_ready.connect
def _watch(**_: Any) -> None:
    """In a thread, because Celery's main thread may wait for the broker until Airflow misses the task's heartbeat."""
    if _cgroups is not None:
        threading.Thread(target=_watch_for_ever, daemon=True).start()


def _watch_for_ever() -> None:
    while True:
        time.sleep(PERIOD_SECONDS)
        _kill_abandoned()


def _kill_abandoned() -> None:
    try:
        with _one_at_a_time:
            ended = _cgroups.kill_abandoned() if _cgroups is not None else {}
    except Exception:
        # An error here would end Celery's pool.
        logger.exception("Processes that tasks have left behind could not be killed.")
        return
    for supervisor, killed in ended.items():
        logger.warning("The task supervisor %d is gone; killed what it left behind: %s.", supervisor, ", ".join(killed))
