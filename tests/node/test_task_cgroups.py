from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import celery
import pytest
from celery.result import AsyncResult

from node.node_file import PROGRAMS, ROOTFS
from node.roles import Role
from tests.node import node_root, redis_server
from tests.node.celery_worker import until
from tests.node.programs import load

task_cgroups = load("python/task_cgroups.py")

# A worker whose tasks are supervised as Airflow's are: a process of the pool forks one for the task and waits for it.
# The task starts others in every way in which they can get away from it.
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
    # What has outlived the task before it, at the moment when this one begins.
    return [name for name in {names!r} if alive((folder / name).read_text())]
"""
STARTED = ("background", "session", "double-forked")


class Worker:
    """A Celery worker of one slot in a cgroup of its own."""

    def __init__(self, broker: redis_server.Server, folder: Path, cgroups: Path, own: Path) -> None:
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
                ["sh", "-c", 'echo $$ >"$0" && exec "$@"', own / "cgroup.procs", *command],
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

    def survivors(self) -> list[str]:
        """What is still there of the first task, when the next one begins."""
        return self.sender.send_task("look").get(timeout=60)


def _alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def _hierarchies() -> dict[str, Path]:
    """Where this machine has cgroups, by their version."""
    top = task_cgroups.CGROUPS
    found = {}
    if (top / "systemd/cgroup.procs").exists():
        found["version 1"] = top
    for folder in (top / "unified", top):
        if (folder / "cgroup.controllers").exists():
            found["version 2"] = folder
    return found


HIERARCHIES = _hierarchies()
each_version = pytest.mark.parametrize("cgroups", HIERARCHIES, indirect=True)


@pytest.fixture
def cgroups(request: pytest.FixtureRequest) -> Path:
    """The top of the hierarchy."""
    return HIERARCHIES[getattr(request, "param", max(HIERARCHIES))]


@pytest.fixture
def own(cgroups: Path) -> Iterator[Path]:
    """The cgroup that the worker's unit has on a node."""
    if os.geteuid() != 0:
        pytest.skip("only root makes a cgroup")
    below = cgroups if (cgroups / "cgroup.controllers").exists() else cgroups / "systemd"
    own = below / f"airflow-test-{os.getpid()}"
    own.mkdir()
    yield own
    task_cgroups._kill(own)
    until(lambda: not any(task_cgroups._members(own)), "the worker has gone")
    task_cgroups._remove(own)
    assert not own.exists()


@pytest.fixture
def worker(broker: redis_server.Server, tmp_path: Path, cgroups: Path, own: Path) -> Iterator[Worker]:
    broker.client(0).flushall()
    found = Worker(broker, tmp_path, cgroups, own)
    try:
        until(lambda: "ready." in found.log, "the worker is ready")
        yield found
    finally:
        sys.stderr.write(found.log)
        with suppress(ProcessLookupError):
            os.killpg(found.process.pid, signal.SIGKILL)
        found.process.wait(10)


@each_version
def test_a_killed_supervisor_leaves_nothing_behind_before_its_task_is_reported_as_failed(worker: Worker):
    result = worker.start_task()
    os.kill(worker.pid("supervisor"), signal.SIGKILL)
    with pytest.raises(Exception, match="signal 9"):
        result.get(timeout=60)
    assert [name for name in ("task", *STARTED) if _alive(worker.pid(name))] == []
    assert worker.survivors() == []
    (line,) = [line for line in worker.log.splitlines() if "killed what it left behind" in line]
    assert f"supervisor {worker.pid('supervisor')} is gone" in line
    for name in ("task", *STARTED):
        assert f"({worker.pid(name)})" in line


@each_version
def test_a_finished_task_leaves_nothing_behind_when_the_next_one_begins(worker: Worker):
    result = worker.start_task()
    assert all(_alive(worker.pid(name)) for name in STARTED), "what it starts lives for as long as the task"
    worker.finish()
    result.get(timeout=60)
    assert worker.survivors() == []
    assert "A task has ended; killed what it left behind: " in worker.log


def test_what_a_killed_supervisor_leaves_ends_while_the_broker_is_away(worker: Worker, broker: redis_server.Server):
    worker.start_task()
    broker.stop()
    try:
        until(lambda: "Connection to broker lost" in worker.log, "the worker is cut off")
        os.kill(worker.pid("supervisor"), signal.SIGKILL)
        for name in ("task", *STARTED):
            until(lambda name=name: not _alive(worker.pid(name)), f"{name} ends")
    finally:
        broker.start()


def test_a_worker_that_stops_still_ends_what_a_killed_supervisor_leaves(worker: Worker):
    worker.start_task()
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: "Warm shutdown" in worker.log, "it stops")
    os.kill(worker.pid("supervisor"), signal.SIGKILL)
    assert worker.process.wait(30) == 0
    assert [name for name in ("task", *STARTED) if _alive(worker.pid(name))] == []


def test_a_supervisor_that_is_gone_leaves_no_cgroup(worker: Worker, own: Path):
    worker.start_task()
    old = worker.pid("supervisor")
    assert (own / f"supervisor-{old}").is_dir()
    os.kill(old, signal.SIGKILL)
    until(lambda: not (own / f"supervisor-{old}").exists(), "its cgroup goes")
    until(lambda: list(own.glob("supervisor-*")), "another takes its place")


def test_tasks_run_also_where_no_cgroup_can_be_made(broker: redis_server.Server, tmp_path: Path, own: Path):
    """Another kernel, or a unit that was changed."""
    broker.client(0).flushall()
    worker = Worker(broker, tmp_path, tmp_path, own)
    try:
        worker.finish()
        worker.start_task().get(timeout=60)
        assert "What tasks leave behind is not ended" in worker.log
    finally:
        os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait(10)


def test_the_unit_lets_the_worker_make_cgroups(tmp_path: Path):
    root = node_root.build(tmp_path, Role.WORKER)
    (dropin,) = (root / node_root.UNITS / "airflow-worker.service.d").glob("*task-cgroups.conf")
    assert "Delegate=yes\nProtectControlGroups=no\n" in dropin.read_text()
    assert dropin.name > "10-hardening.conf", "systemd reads them in this order, and the last one decides"
