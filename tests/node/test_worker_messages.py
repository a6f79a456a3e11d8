from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from node.rootfs import PROGRAMS, ROOTFS
from tests.node import celery_worker, redis_server
from tests.node.celery_worker import QUEUES, CeleryWorker, message, until

Change = Callable[[dict[str, Any]], object]
TEXTS = {
    "no JSON": "what is this",
    "no text": b"\xff\xfe\x00",
    "a list": "[]",
    "null": "null",
    "a number": "7",
    "an object": "{}",
    "too deep": "[" * 100_000,
    "a type that its value does not fit": '{"__type__": "uuid", "__value__": 7}',
}


def _headers(**headers: Any) -> Change:
    return lambda found: found["headers"].update(headers)


def _properties(**properties: Any) -> Change:
    return lambda found: found["properties"].update(properties)


def _body(content: str) -> Change:
    return lambda found: found.update(body=base64.b64encode(content.encode()).decode())


CHANGES: Mapping[str, Change] = {
    "no headers": lambda found: found.pop("headers"),
    "no properties": lambda found: found.pop("properties"),
    "no id": lambda found: found["headers"].pop("id"),
    "an id that is an object": _headers(id={}),
    "an id longer than the database takes": _headers(id="x" * 156),
    "an id that the database does not take": _headers(id="a\0b"),
    "another task": _headers(task="celery.backend_cleanup"),
    "an unknown task": _headers(task="nothing"),
    "a task that is a list": _headers(task=[]),
    "for later": _headers(eta="9999-12-31T23:59:59+00:00"),
    "overdue": _headers(expires="2020-01-01T00:00:00+00:00"),
    "time limits": _headers(timelimit=[1, 1]),
    "time limits that are none": _headers(timelimit="x"),
    "time limits that are no numbers": _headers(timelimit=["a", "b"]),
    "stamps": _headers(stamped_headers=5, stamps=5),
    "retries": _headers(retries="x"),
    "arguments that are no text": _headers(argsrepr=5),
    "compressed": _headers(compression="zlib"),
    "no tag": lambda found: found["properties"].pop("delivery_tag"),
    "a tag that is an object": _properties(delivery_tag={}),
    "no address": _properties(delivery_info={}),
    "an address that is a list": _properties(delivery_info=[]),
    "a priority that is a text": _properties(priority="high"),
    "another encoding of the body": _properties(body_encoding="nothing"),
    "a pickle": lambda found: found.update({"content-type": "application/x-python-serialize"}),
    "a body that is a number": lambda found: found.update(body=5),
    "a body that is no base64": lambda found: found.update(body="###"),
    "a body that is no JSON": _body("x"),
    "a body that is a JSON number": _body("5"),
    "a body that is too deep": _body("[" * 100_000),
    "a body without a workload": _body('[[], {}, {"chord": null}]'),
    "a body with a callback": _body('[["{}"], {}, {"callbacks": [{"task": "execute_workload"}]}]'),
}


@pytest.fixture
def worker(broker: redis_server.Server, tmp_path: Path) -> Iterator[CeleryWorker]:
    with broker.client(0) as client:
        client.flushall()
    with celery_worker.running(broker, tmp_path) as found:
        until(lambda: found.consumes == QUEUES, "the worker consumes")
        yield found


def test_no_malformed_message_stops_a_worker(worker: CeleryWorker, broker: redis_server.Server):
    worker.send("long")
    until(lambda: worker.started == ["long"], "it runs")
    for text in TEXTS.values():
        worker.put(text)
    for change in CHANGES.values():
        change(found := message(celery_worker.body("poison")))
        worker.put(json.dumps(found))
    worker.send("next")
    until(lambda: worker.started == ["long", "next"], "it takes the task behind them")
    assert worker.log.count("Dropped a message from default that is not Airflow's: ") == len(TEXTS) + len(CHANGES)
    assert "Connection to broker lost" not in worker.log
    worker.finish("long", "next")
    until(lambda: not worker.state["active"], "both have finished")
    with broker.client(0) as client:
        until(lambda: not client.hlen("unacked"), "nothing is left for another worker")


def test_a_task_may_read_other_messages_from_a_broker_of_its_own():
    program = [
        "import os, worker_messages",
        "transport = object.__new__(worker_messages.Transport)",
        "transport._callbacks = {'queue': lambda message: print('delivered', message, flush=True)}",
        "transport._deliver({}, 'queue')",
        "os.fork() or transport._deliver({}, 'queue')",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOTFS}/worker{PROGRAMS}/python"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(program)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "delivered {}\n", "by the child alone"


def test_a_message_that_arrives_twice_does_not_keep_a_slot(worker: CeleryWorker):
    worker.send("twin")
    worker.send("twin")
    until(lambda: worker.started == ["twin", "twin"], "both run")
    worker.finish("twin")
    until(lambda: not worker.state["active"], "both have finished")
    worker.send("one")
    worker.send("two")
    until(lambda: sorted(worker.started[2:]) == ["one", "two"], "both slots are free")


def test_an_invalid_entry_among_the_taken_messages_does_not_prevent_a_start(
    broker: redis_server.Server, tmp_path: Path
):
    with broker.client(0) as client:
        client.flushall()
        for tag, text in {"a": "no JSON", "b": "[]", "c": '[7, "", ""]', "d": '["", [], {}]', "e": "[" * 9000}.items():
            client.hset("unacked", tag, text)
            client.zadd("unacked_index", {tag: 1})
        with celery_worker.running(broker, tmp_path) as worker:
            worker.send("one")
            until(lambda: worker.started == ["one"], "it works")
            assert client.hlen("unacked") == 1, "its own"
            assert worker.log.count("that is not a message") >= 3


# Reads broadcasts three times: the confirmation of the subscription, nothing, and one that is sent afterwards.
LISTENER = """
import sys
import worker_messages
from kombu import Connection

connection = Connection(sys.argv[1])
channel = connection.channel()
channel._fanout_queues["commands"] = ("all.workers", "")
channel._fanout_to_queue["all.workers"] = "commands"
channel.active_fanout_queues.add("commands")
channel.connection.cycle._register_LISTEN(channel)
heard = []
channel.connection._deliver = lambda message, queue: heard.append(queue)
channel._receive()
channel._receive()
channel._put_fanout("all.workers", {"body": ""}, "")
channel._receive()
print(heard)
"""


def test_a_worker_whose_socket_is_readable_without_a_broadcast_does_not_wait_for_one(broker: redis_server.Server):
    """Otherwise it would consume nothing, and not notice ended tasks, until the next broadcast."""
    paths = {"PYTHONPATH": f"{ROOTFS}/worker{PROGRAMS}/python"}
    heard = subprocess.run(
        [sys.executable, "-c", LISTENER, broker.url],
        env=os.environ | paths,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert heard.stdout.strip() == "['commands']"
