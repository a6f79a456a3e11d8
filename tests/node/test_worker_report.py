from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.node import celery_worker, redis_server
from tests.node.celery_worker import QUEUES, CeleryWorker, until, workload
from tests.node.programs import load

worker_report = load("python/worker_report.py")


@pytest.fixture
def broker() -> Iterator[redis_server.Server]:
    with redis_server.running() as server:
        yield server


@pytest.fixture
def worker(broker: redis_server.Server, tmp_path: Path) -> Iterator[CeleryWorker]:
    with celery_worker.running(broker, tmp_path) as found:
        until(lambda: found.consumes == QUEUES, "the worker consumes")
        yield found


def _runs(worker: CeleryWorker, name: str) -> bool:
    return any(f" {name} " in active["task"] for active in worker.state["active"])


def _restart(broker: redis_server.Server, worker: CeleryWorker) -> None:
    """Cut the worker from its broker, and let it find an empty one."""
    broker.stop()
    until(lambda: not worker.state["connected"], "the worker says that it is cut off")
    broker.start()
    until(lambda: worker.state["connected"], "the worker says that it is connected again")


def test_the_state_has_the_running_tasks(worker: CeleryWorker):
    began = time.time()
    worker.send("extract")
    worker.send("load", "reports", map_index=3)
    until(lambda: len(worker.state["active"]) == 2, "both run")
    state = worker.state
    assert (state["connected"], tuple(state["queues"]), state["reserved"]) == (True, QUEUES, 0)
    tasks = {active["task"]: active for active in state["active"]}
    assert tasks.keys() == {"etl manual__1 extract try 2", "etl manual__1 load [3] try 2"}
    for active in tasks.values():
        parent = Path(f"/proc/{active['pid']}/stat").read_text().rpartition(")")[2].split()[1]
        assert int(parent) == worker.process.pid, "a pool process"
        assert began - 1 <= active["since"] <= time.time() + 1


def test_a_finished_task_leaves_the_state(worker: CeleryWorker):
    worker.send("extract")
    until(lambda: _runs(worker, "extract"), "it runs")
    worker.finish("extract")
    until(lambda: not worker.state["active"], "it is gone")


@pytest.mark.parametrize("state", ["failed", "up_for_retry", "none"])
def test_a_task_that_fails_at_once_is_counted(worker: CeleryWorker, state: str):
    assert worker.state["outcomes"] == {"failed_at_once": 0, "others": 0}
    for name in ("one", "two"):
        worker.send(name)
    worker.finish("one", state=state)
    until(lambda: worker.state["outcomes"] == {"failed_at_once": 1, "others": 0}, "the failure is counted")
    worker.finish("two", state="up_for_reschedule")
    until(lambda: worker.state["outcomes"] == {"failed_at_once": 1, "others": 1}, "the other one is counted")


def test_a_task_that_runs_for_long_has_not_failed_at_once():
    now = time.time()
    requests = [SimpleNamespace(time_start=start) for start in (now - 31, now - 29, None)]
    assert worker_report._long(requests) == 1


def test_the_state_is_fresh_each_second(worker: CeleryWorker):
    seen: set[float] = set()

    def four() -> bool:
        seen.add(worker.state["at"])
        return len(seen) == 4

    until(four, "it was written four times")
    assert max(seen) - min(seen) < 10


def test_every_user_of_the_node_may_read_the_state(worker: CeleryWorker, tmp_path: Path):
    assert worker.state["connected"]
    assert (tmp_path / "run/state.json").stat().st_mode & 0o777 == 0o644, "the unit's umask would hide it"


def test_a_task_that_cannot_start_at_once_stays_in_the_queue(worker: CeleryWorker):
    for name in ("one", "two", "three"):
        worker.send(name)
    until(lambda: len(worker.state["active"]) == 2, "both slots are taken")
    assert worker.waiting() == 1, "another worker's to take"


def test_a_cordoned_worker_takes_no_task_and_finishes_the_others(worker: CeleryWorker):
    worker.send("old")
    until(lambda: _runs(worker, "old"), "it runs")
    worker.cordon()
    until(lambda: worker.consumes == (), "it consumes nothing")
    worker.send("new")
    worker.finish("old")
    until(lambda: not worker.state["active"], "the old task has finished")
    assert worker.state["connected"]
    assert worker.started == ["old"]
    assert worker.waiting() == 1, "nor has it taken a message"


def test_an_uncordoned_worker_takes_tasks_again(worker: CeleryWorker):
    worker.cordon()
    until(lambda: worker.consumes == (), "it consumes nothing")
    for name, queue in zip(("one", "two"), QUEUES, strict=True):
        worker.send(name, queue)
    worker.uncordon()
    until(lambda: sorted(worker.started) == ["one", "two"], "it takes from each of its queues")


def test_a_worker_that_starts_cordoned_takes_no_task(broker: redis_server.Server, tmp_path: Path):
    (tmp_path / "retired").touch()
    with celery_worker.running(broker, tmp_path) as worker:
        worker.send("new")
        until(lambda: worker.state["connected"], "it is connected")
        until(lambda: "ready." in worker.log, "it is ready")
        at = worker.state["at"]
        until(lambda: worker.state["at"] > at + 2, "some time has passed")
        assert (worker.consumes, worker.started, worker.waiting()) == ((), [], 1)


def test_a_cordoned_worker_that_reconnects_takes_no_task(broker: redis_server.Server, worker: CeleryWorker):
    worker.cordon()
    until(lambda: worker.consumes == (), "it consumes nothing")
    _restart(broker, worker)
    worker.send("new")
    at = worker.state["at"]
    until(lambda: worker.state["at"] > at + 2, "some time has passed")
    assert (worker.consumes, worker.started, worker.waiting()) == ((), [], 1)


def test_an_uncordoned_worker_that_reconnects_takes_tasks(broker: redis_server.Server, worker: CeleryWorker):
    worker.cordon()
    until(lambda: worker.consumes == (), "it consumes nothing")
    worker.uncordon()
    until(lambda: worker.consumes == QUEUES, "it consumes again")
    _restart(broker, worker)
    for name, queue in zip(("one", "two"), QUEUES, strict=True):
        worker.send(name, queue)
    until(lambda: sorted(worker.started) == ["one", "two"], "it takes from each of its queues")


def test_a_worker_that_reconnects_takes_as_many_tasks_as_it_has_free_slots(
    broker: redis_server.Server, worker: CeleryWorker
):
    for name in ("one", "two"):
        worker.send(name)
    until(lambda: sorted(worker.started) == ["one", "two"], "both slots are taken")
    _restart(broker, worker)
    for name in ("three", "four", "five"):
        worker.send(name)
    at = worker.state["at"]
    until(lambda: worker.state["at"] > at + 2, "some time has passed")
    assert worker.waiting() == 3, "no slot is free"
    worker.finish("one")
    until(lambda: worker.started[2:] == ["three"], "its slot is taken again, and not the other one's")
    worker.finish("two")
    until(lambda: worker.started[3:] == ["four"], "both slots are taken again")
    assert worker.waiting() == 1, "another worker's to take"


def test_the_state_is_written_during_an_outage_of_the_broker(broker: redis_server.Server, worker: CeleryWorker):
    worker.send("long")
    until(lambda: _runs(worker, "long"), "it runs")
    broker.stop()
    until(lambda: not worker.state["connected"], "the worker says that it is cut off")
    at = worker.state["at"]
    until(lambda: worker.state["at"] > at + 2, "the state is written")
    assert worker.consumes == ()
    assert _runs(worker, "long"), "the task has not ended"


def test_a_worker_that_shuts_down_reports_its_last_tasks(worker: CeleryWorker):
    worker.send("last")
    until(lambda: _runs(worker, "last"), "it runs")
    os.kill(worker.process.pid, signal.SIGTERM)
    until(lambda: not worker.state["connected"], "it consumes no more")
    worker.send("new")
    at = worker.state["at"]
    until(lambda: worker.state["at"] > at + 2, "the state is written")
    assert _runs(worker, "last")
    worker.finish("last")
    assert worker.process.wait(celery_worker.PATIENCE_SECONDS) == 0
    assert (worker.started, worker.waiting()) == (["last"], 1)


def test_a_worker_with_the_stopping_file_takes_no_message_from_the_queue(
    broker: redis_server.Server, worker: CeleryWorker
):
    worker.send("old")
    until(lambda: _runs(worker, "old"), "it runs, and a slot is free")
    worker.announce_stop()
    until(lambda: worker.consumes == () and not broker.blocked_clients(), "it has let go of its queues")
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: not worker.state["connected"], "it stops")
    worker.send("new")
    assert worker.waiting() == 1
    worker.finish("old")
    worker.process.wait(30)
    assert (worker.started, worker.waiting()) == (["old"], 1)


def test_a_queue_that_could_not_be_consumed_again_is_retried_in_the_next_period():
    report = object.__new__(worker_report.WorkerReport)
    report._queues = {name: name for name in QUEUES}
    added: list[str] = []
    consumer = SimpleNamespace(
        task_consumer=SimpleNamespace(queues=[SimpleNamespace(name=QUEUES[0])]),
        app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(select_add=lambda _: None))),
        add_task_queue=added.append,
    )
    report._follow_files(consumer)
    assert added == [QUEUES[1]]


def test_a_task_that_arrives_while_the_queues_are_cancelled_is_in_the_state(monkeypatch: pytest.MonkeyPatch):
    class _LetsGo:
        def __init__(self) -> None:
            self._last_turn, self._connected = time.monotonic(), True
            self._outcomes = worker_report.task_outcomes.RecentOutcomes()

    def let_go(_: object) -> list[str]:
        taken.append(SimpleNamespace(id="late"))
        return []

    taken: list[object] = []
    monkeypatch.setattr(worker_report, "_consumed", let_go)
    monkeypatch.setattr(worker_report.worker_state, "reserved_requests", taken)
    monkeypatch.setattr(worker_report.worker_state, "active_requests", [])
    state = worker_report.WorkerReport._state(_LetsGo(), None)
    assert (state["queues"], state["reserved"]) == ([], 1), "the node would stop with it"


def test_a_state_that_cannot_be_written_does_not_disturb_the_work(worker: CeleryWorker, tmp_path: Path):
    shutil.rmtree(tmp_path / "run")
    until(lambda: "state.json could not be written" in worker.log, "the log tells")
    worker.send("one")
    worker.finish("one")
    until(lambda: worker.started == ["one"], "it works")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([workload("load")], "etl manual__1 load try 2"),
        ([workload("load", 0)], "etl manual__1 load [0] try 2"),
        ([json.dumps({"type": "ExecuteCallback", "callback": {}})], "ExecuteCallback"),
        *[(arguments, "unknown") for arguments in (None, [], [7], ["no JSON"], ["[]"], ["{}"], ['{"ti": {}}'])],
    ],
)
def test_a_task_is_named_as_in_the_ui(arguments: object, name: str):
    assert worker_report.task_name(arguments) == name
