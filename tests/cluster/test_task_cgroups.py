"""Nothing that a task has started outlives it, with the kernel's real cgroups. Does not use the lab's nodes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import preconditions
from tests.node import redis_server, supervised_tasks
from tests.node.celery_worker import until
from tests.node.programs import load
from tests.node.supervised_tasks import STARTED, Worker, is_alive

task_cgroups = load("python/task_cgroups.py")


def _hierarchies() -> dict[str, Path]:
    """Where this machine has its cgroups, by their version."""
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
    try:
        preconditions.check_root()
    except preconditions.UnfitError as unfit:
        pytest.skip(str(unfit))
    below = cgroups if (cgroups / "cgroup.controllers").exists() else cgroups / "systemd"
    own = below / f"airflow-test-{os.getpid()}"
    own.mkdir()
    yield own
    task_cgroups._kill(own)
    until(lambda: not any(task_cgroups._members(own)), "the worker has gone")
    task_cgroups._remove(own)
    assert not own.exists()


@pytest.fixture(scope="module")
def broker() -> Iterator[redis_server.Server]:
    with redis_server.running() as server:
        yield server


@pytest.fixture
def worker(broker: redis_server.Server, tmp_path: Path, cgroups: Path, own: Path) -> Iterator[Worker]:
    with supervised_tasks.running(broker, tmp_path, cgroups=cgroups, own=own) as found:
        yield found


@each_version
def test_a_killed_supervisor_leaves_nothing_behind_before_its_task_is_reported_as_failed(worker: Worker):
    result = worker.start_task()
    os.kill(worker.pid("supervisor"), signal.SIGKILL)
    with pytest.raises(Exception, match="signal 9"):
        result.get(timeout=60)
    assert [name for name in ("task", *STARTED) if is_alive(worker.pid(name))] == []
    assert worker.survivors() == []
    (line,) = [line for line in worker.log.splitlines() if "killed what it left behind" in line]
    assert f"supervisor {worker.pid('supervisor')} is gone" in line
    for name in ("task", *STARTED):
        assert f"({worker.pid(name)})" in line


@each_version
def test_a_finished_task_leaves_nothing_behind_when_the_next_one_begins(worker: Worker):
    result = worker.start_task()
    assert all(is_alive(worker.pid(name)) for name in STARTED), "what it starts lives for as long as the task"
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
            until(lambda name=name: not is_alive(worker.pid(name)), f"{name} ends")
    finally:
        broker.start()


def test_a_worker_that_stops_still_ends_what_a_killed_supervisor_leaves(worker: Worker):
    worker.start_task()
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: "Warm shutdown" in worker.log, "it stops")
    os.kill(worker.pid("supervisor"), signal.SIGKILL)
    assert worker.process.wait(30) == 0
    assert [name for name in ("task", *STARTED) if is_alive(worker.pid(name))] == []


def test_a_supervisor_that_is_gone_leaves_no_cgroup(worker: Worker, own: Path):
    worker.start_task()
    old = worker.pid("supervisor")
    assert (own / f"supervisor-{old}").is_dir()
    os.kill(old, signal.SIGKILL)
    until(lambda: not (own / f"supervisor-{old}").exists(), "its cgroup goes")
    until(lambda: list(own.glob("supervisor-*")), "another takes its place")
