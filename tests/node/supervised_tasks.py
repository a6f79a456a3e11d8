"""A Celery worker whose tasks are supervised like Airflow's, and start processes that try to escape."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import celery
from celery.result import AsyncResult

from node.rootfs import PROGRAMS, ROOTFS
from tests.node import redis_server
from tests.node.celery_worker import until

# A worker whose tasks are supervised as Airflow's are: a process of the pool forks one for the task and waits for it.
# The task starts others in every way in which they can escape from it.
APPLICATION = """
import os, pathlib, signal, subprocess, time
import celery
import task_cgroups

folder = pathlib.Path({folder!r})
task_cgroups.CGROUPS = pathlib.Path({cgroups!r})

app = celery.Celery("test", broker={broker!r}, backend="file://" + str(folder / "results"))
app.conf.update(imports=("task_cgroups",), task_acks_late=True, task_default_queue="default")

def note(name, pid):
    (folder / (name + ".part")).write_text(str(pid))
    (folder / (name + ".part")).rename(folder / name)

def alive(pid):
    try:
        return pathlib.Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

def double_fork():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            note("double-forked", os.getpid())
            time.sleep(600)
        os._exit(0)
    os.wait()

@app.task(name="work")
def work():
    note("supervisor", os.getpid())
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note("background", subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600 & sleep 600"]).pid)
        note("session", subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
        double_fork()
        note("task", os.getpid())
        while not (folder / "end").exists():
            time.sleep(0.02)
        os._exit(0)
    os.waitpid(pid, 0)

@app.task(name="look")
def look():
    # Processes that have outlived the previous task when this one begins.
    return [name for name in {names!r} if alive((folder / name).read_text())]
"""
STARTED = ("background", "session", "double-forked")


class Worker:
    """A Celery worker of one slot in a cgroup of its own."""

    def __init__(self, broker: redis_server.Server, folder: Path, cgroups: Path, own: Path | None) -> None:
        (folder / "results").mkdir()
        values = {"folder": str(folder), "cgroups": str(cgroups), "broker": broker.url, "names": ("task", *STARTED)}
        (folder / "application.py").write_text(APPLICATION.format(**values))
        self._folder = folder
        self.sender = celery.Celery("sender", broker=broker.url, backend=f"file://{folder}/results")
        self.sender.conf.task_default_queue = "default"
        command = [sys.executable, "-m", "celery", "-A", "application", "worker", "--concurrency", "1"]
        command += ["-O", "fair", "--queues", "default", "--without-mingle", "--without-gossip", "--loglevel", "INFO"]
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", 'echo $$ >"$0" && exec "$@"', own / "cgroup.procs" if own else "/dev/null", *command],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": f"{ROOTFS}/worker{PROGRAMS}/python"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def start_task(self) -> AsyncResult:
        """Start a task, and wait until it has started everything."""
        result = self.sender.send_task("work")
        for name in ("task", *STARTED):
            until((self._folder / name).exists, f"{name} runs")
        return result

    def pid(self, name: str) -> int:
        return int((self._folder / name).read_text())

    def finish(self) -> None:
        (self._folder / "end").touch()

    def end_daemons(self) -> None:
        """Kill processes that a task has left and that are still alive."""
        for name in STARTED:
            os.kill(self.pid(name), signal.SIGKILL)

    def survivors(self) -> list[str]:
        """Processes of the first task that are still alive when the next one begins."""
        return self.sender.send_task("look").get(timeout=60)


@contextmanager
def running(broker: redis_server.Server, folder: Path, *, cgroups: Path, own: Path | None = None) -> Generator[Worker]:
    """A worker in the cgroup `own`, which finds its cgroup below `cgroups`; it ends with the context."""
    broker.client(0).flushall()
    worker = Worker(broker, folder, cgroups, own)
    try:
        until(lambda: "ready." in worker.log, "the worker is ready")
        yield worker
    finally:
        sys.stderr.write(worker.log)
        with suppress(ProcessLookupError):
            os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait(10)


def is_alive(pid: int) -> bool:
    """Whether the process is alive; a zombie is not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False
