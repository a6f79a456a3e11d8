from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import celery
import pytest
from celery.worker import control

from tests.node import celery_worker, redis_server
from tests.node.celery_worker import QUEUES, CeleryWorker, until
from tests.node.programs import load

remote_control = load("python/remote_control.py")
# Where kombu's Redis transport publishes the commands.
CHANNEL = "/0.celery.pidbox"
COMMANDS = {
    "pool_shrink": {"n": 2},
    "cancel_consumer": {"queue": QUEUES[0]},
    "time_limit": {"task_name": "execute_workload", "hard": 1, "soft": 1},
    "rate_limit": {"task_name": "execute_workload", "rate_limit": "1/h"},
}
"""The commands that would do the most harm, with their arguments."""


@pytest.fixture
def worker(broker: redis_server.Server, tmp_path: Path) -> Iterator[CeleryWorker]:
    with broker.client(0) as client:
        client.flushall()
    with celery_worker.running(broker, tmp_path) as found:
        until(lambda: found.consumes == QUEUES, "the worker consumes")
        yield found


def test_the_executor_and_operators_get_replies(worker: CeleryWorker):
    worker.send("one")
    until(lambda: worker.started == ["one"], "it runs")
    answers = {
        name: next(iter(worker.command(name)[0].values())) for name in remote_control.INSPECTIONS - {"query_task"}
    }
    assert answers["ping"] == {"ok": "pong"}
    assert [queue["name"] for queue in answers["active_queues"]] == list(QUEUES)
    assert [task["id"] for task in answers["active"]] == ["one"]
    assert not [answer for answer in answers.values() if "error" in answer]
    assert "one" in next(iter(worker.command("query_task", ids=["one"])[0].values()))


def test_a_revoked_message_starts_no_task(worker: CeleryWorker):
    worker.command("revoke", task_id="unwanted", terminate=False, signal="SIGTERM")
    worker.send("unwanted")
    worker.send("wanted")
    until(lambda: worker.started == ["wanted"], "the other one runs")


def test_every_other_command_is_refused_and_changes_nothing(worker: CeleryWorker):
    worker.send("long")
    until(lambda: worker.started == ["long"], "it runs")
    others = sorted(control.Panel.data.keys() - remote_control.INSPECTIONS - {"revoke"})
    assert {"shutdown", "terminate", "pool_grow", "add_consumer", "revoke_by_stamped_headers", "election"} < set(others)
    for name in others:
        answer = next(iter(worker.command(name, **COMMANDS.get(name, {}))[0].values()))
        assert answer["error"].startswith("refused: "), name
        assert f"Remote control: '{name}' " in worker.log
    assert worker.consumes == QUEUES
    worker.send("next")
    until(lambda: worker.started == ["long", "next"], "both slots work")
    worker.finish("long", "next")
    until(lambda: not worker.state["active"], "both have finished")


@pytest.mark.parametrize(
    "arguments",
    [
        {"task_id": "long", "terminate": True, "signal": "SIGKILL"},
        {"task_id": ["long"], "terminate": 1},
        {"task_id": "other", "other": 1},
        {"task_id": [str(number) for number in range(101)]},
        {"task_id": [7]},
        {"task_id": None},
        {},
    ],
)
def test_a_revoke_that_does_more_is_refused(arguments: dict[str, object]):
    assert remote_control._objection("revoke", arguments)


def test_what_the_executor_revokes_is_allowed():
    sent: list[dict[str, object]] = []
    app = celery.Celery("executor", broker="memory://")
    app.control.broadcast = lambda command, arguments, **_: sent.append({"command": command, **arguments})
    app.control.revoke("a-message")
    [command] = sent
    assert remote_control._objection(str(command.pop("command")), command) is None


def test_a_malformed_command_is_ignored(worker: CeleryWorker, broker: redis_server.Server):
    worker.command("ping")
    with broker.client(0) as client:
        for body in (
            7,
            [],
            {},
            {"method": 7},
            {"method": "ping", "arguments": [1]},
            {"method": "ping", "destination": 7},
            {"method": "ping", "reply_to": {"exchange": {}}},
            {"method": "ping", "pattern": "((.*)*)*x", "matcher": "pcre"},
        ):
            assert client.publish(CHANNEL, json.dumps(celery_worker.message(body))) == 1
        for text in ("no JSON", "[" * 100_000, "7", "{}", json.dumps(celery_worker.message({}) | {"body": 7})):
            assert client.publish(CHANNEL, text) == 1
    assert next(iter(worker.command("ping")[0].values())) == {"ok": "pong"}
    assert "Connection to broker lost" not in worker.log
    assert worker.log.count("ignored a malformed command") == 8


def test_a_long_command_makes_a_short_line():
    assert len(remote_control._shown("x" * 10_000)) < 300
