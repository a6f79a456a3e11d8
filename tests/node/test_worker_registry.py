from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict

import pytest
import redis
from airflow_node.worker_registry import WorkerRegistry

from tests.node import redis_server
from tests.node.programs import module

worker_registry = module("airflow_node.worker_registry")
GroupSizes = worker_registry.GroupSizes


@pytest.fixture
def store(broker: redis_server.Server) -> Iterator[redis.Redis]:
    """The board's database, empty."""
    with broker.client(worker_registry.REGISTRY_DATABASE) as client:
        client.flushall()
        yield client


@pytest.fixture
def board(broker: redis_server.Server, store: redis.Redis) -> Iterator[WorkerRegistry]:
    assert store.dbsize() == 0
    found = WorkerRegistry.connect(broker.url, timeout_seconds=5)
    yield found
    found.close()


def report(instance: str = "i-1", pool: str = "default", **changes: object) -> worker_registry.Report:
    """A worker at work."""
    values = {"state": "working", "slots": 4, "active": 1, "idle_seconds": 0.0}
    return worker_registry.Report(instance=instance, pool=pool, **values | changes)


def forged(**changes: object) -> str:
    """What a task may write in a worker's place."""
    return json.dumps(asdict(report()) | changes)


def test_the_masters_read_what_the_workers_report(board: WorkerRegistry):
    reports = [report("i-1"), report("i-2", state="retired", active=0, idle_seconds=7.5)]
    for one in reversed(reports):
        board.report(one)
    board.report(report("i-3", "heavy"))
    assert board.reports("default", {"i-1", "i-2", "i-3", "i-4"}) == reports
    assert [one.instance for one in board.reports("heavy", ["i-3"])] == ["i-3"]
    assert board.faults() == {}


def test_nobody_is_asked_about_no_instances(board: WorkerRegistry):
    assert (board.reports("default", ()), board.cordoned("default", ())) == ([], frozenset())


def test_a_worker_that_falls_silent_is_off_the_board(board: WorkerRegistry, store: redis.Redis):
    board.report(report("i-1"))
    assert 0 < store.ttl("worker:default:i-1") <= 30


def test_the_board_reads_ten_thousand_workers(board: WorkerRegistry, store: redis.Redis):
    pipeline = store.pipeline(transaction=False)
    for number in range(10_000):
        text = json.dumps(
            {"instance": f"i-{number}", "pool": "p", "state": "working", "slots": 1, "active": 0, "idle_seconds": 1}
        )
        pipeline.set(f"worker:p:i-{number}", text)
        pipeline.set(f"retire:p:i-{number}", "1")
    pipeline.execute()
    instances = [f"i-{number}" for number in range(10_000)]
    assert len(board.reports("p", instances)) == 10_000
    assert len(board.cordoned("p", instances)) == 10_000


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        b"\xff\xfe",
        "[" * 100_000,
        "[" * 4_000,
        "x" * 20_000_000,
        forged(idle_seconds=float("nan")),
        forged(active=float("nan")),
        forged(active=0.5),
        forged(idle_seconds=10**400),
        forged(instance=1),
        "[]",
        forged(state=7),
        forged(state="odd\nstate"),
        forged(state="x" * 10_000),
        json.dumps(
            {"instance": "i-1", "pool": "default", "state": "working", "slots": -1, "active": 0, "idle_seconds": 0}
        ),
        json.dumps(
            {"instance": "i-1", "pool": "default", "state": "working", "slots": "4", "active": 0, "idle_seconds": 0}
        ),
        json.dumps(
            {"instance": "i-9", "pool": "default", "state": "working", "slots": 1, "active": 0, "idle_seconds": 0}
        ),
    ],
)
def test_a_forged_report_is_left_out_and_named(board: WorkerRegistry, store: redis.Redis, text: str | bytes):
    store.set("worker:default:i-1", text)
    board.report(report("i-2"))
    assert [one.instance for one in board.reports("default", ["i-1", "i-2"])] == ["i-2"]
    (fault,) = board.faults().items()
    assert fault[0] == "worker:default:i-1"
    assert "cannot be read" in fault[1]
    assert len(fault[1]) < 400
    assert board.faults() == {}, "told once"


def put_another_type(store: redis.Redis, key: str) -> None:
    """Make the key hold neither a text nor a list."""
    store.delete(key)
    store.hset(key, "x", "1")


def test_a_report_of_another_type_is_left_out_and_named(board: WorkerRegistry, store: redis.Redis):
    put_another_type(store, "worker:default:i-1")
    board.report(report("i-2"))
    assert [one.instance for one in board.reports("default", ["i-1", "i-2"])] == ["i-2"]
    assert board.faults() == {"worker:default:i-1": "has a value of another type"}
    board.report(report("i-1"))
    assert len(board.reports("default", ["i-1"])) == 1, "the worker's own report takes its place"


@pytest.mark.parametrize("key", ["worker:default:i-1", "retire:default:i-1"])
def test_what_a_task_wrote_without_an_end_gets_one(board: WorkerRegistry, store: redis.Redis, key: str):
    store.set(key, forged())
    assert store.ttl(key) == -1
    assert len(board.reports("default", ["i-1"])) == (key[0] == "w")
    assert len(board.cordoned("default", ["i-1"])) == (key[0] == "r")
    assert 0 < store.ttl(key) <= 60


def test_reading_does_not_keep_an_entry_alive(board: WorkerRegistry, store: redis.Redis):
    store.set("worker:default:i-1", forged(), ex=5)
    assert len(board.reports("default", ["i-1"])) == 1
    assert store.ttl("worker:default:i-1") <= 5


def test_a_report_of_no_instance_of_its_pool_is_named(board: WorkerRegistry):
    for one in (report("i-1"), report("i-made-up"), report("i-1", "a-pool-that-was-removed")):
        board.report(one)
    board.note_unknown_instances({"default": {"i-1"}})
    assert list(board.faults()) == ["worker:default:i-made-up"]


def test_a_key_beyond_all_bounds_keeps_no_report_from_being_read(board: WorkerRegistry, store: redis.Redis):
    store.set("worker:default:" + "x" * 9_000_000, "x")
    board.report(report("i-1"))
    board.note_unknown_instances({"default": {"i-1"}})
    assert board.faults() == {"worker:*:*": "has more than 8 MiB"}
    assert len(board.reports("default", ["i-1"])) == 1


def test_a_worker_reads_its_neighbours_whatever_tasks_write_beside_them(board: WorkerRegistry, store: redis.Redis):
    for one in (report("i-1"), report("i-2"), report("i-3", "default-2")):
        board.report(one)
    store.lpush("worker:default:i-4", "x")
    store.set("worker:default:", "x")
    store.set("worker:default:i-5:more", forged())
    assert [one.instance for one in board.some_reports("default")] == ["i-1", "i-2"]


def test_a_pool_whose_outlier_a_task_has_named_for_ever_can_have_another(board: WorkerRegistry, store: redis.Redis):
    put_another_type(store, "outlier:default")
    assert not board.eject("default", "i-1")
    assert 0 < store.ttl("outlier:default") <= 900
    assert list(board.faults()) == ["outlier:default"]


def test_a_flood_of_reports_costs_one_step_of_a_scan(board: WorkerRegistry, store: redis.Redis):
    pipeline = store.pipeline(transaction=False)
    for number in range(50_000):
        pipeline.set(f"worker:default:i-flood-{number}", "x")
    pipeline.execute()
    board.report(report("i-1"))
    store.config_resetstat()
    assert len(board.reports("default", ["i-1"])) == 1
    board.note_unknown_instances({"default": {"i-1"}})
    calls = store.info("commandstats")
    assert sum(calls[name]["calls"] for name in calls if "scan" in name or "keys" in name) == 1
    assert 0 < len(board.faults()) < 2 * worker_registry.BATCH


def test_a_worker_is_retired_until_it_is_recalled(board: WorkerRegistry):
    board.cordon("default", ["i-1", "i-2"])
    assert board.is_cordoned("default", "i-1")
    assert not board.is_cordoned("heavy", "i-1")
    board.uncordon("default", ["i-1"])
    assert not board.is_cordoned("default", "i-1")
    assert board.is_cordoned("default", "i-2")


def test_the_masters_read_whom_they_have_retired_before_the_workers_know(board: WorkerRegistry):
    board.report(report("i-3"))
    board.cordon("default", ["i-1", "i-2"])
    board.cordon("heavy", ["i-9"])
    board.uncordon("default", ["i-1"])
    assert board.cordoned("default", ["i-1", "i-2", "i-3", "i-9"]) == {"i-2"}
    assert board.cordoned("heavy", ["i-9"]) == {"i-9"}


def test_a_forgotten_worker_goes_back_to_work(board: WorkerRegistry, store: redis.Redis):
    board.cordon("default", ["i-1"])
    assert 30 < store.ttl("retire:default:i-1") <= 60, "several passes of the masters, and not for ever"


def test_nobody_to_retire_or_recall_is_no_fault(board: WorkerRegistry):
    board.cordon("default", [])
    board.uncordon("default", [])


def test_the_workers_learn_their_groups_sizes(board: WorkerRegistry, store: redis.Redis):
    assert board.group("default") is None
    group = GroupSizes(minimum=1, maximum=8, desired=3)
    board.publish_group("default", group)
    assert board.group("default") == group
    assert 0 < store.ttl("group:default") <= 60, "old sizes must not let a worker leave"


def test_the_boot_time_is_the_median_of_the_last_twenty(board: WorkerRegistry):
    assert board.boot_seconds("default") is None
    for _ in range(20):
        board.record_boot("default", 500)
    for seconds in range(1, 21):
        board.record_boot("default", seconds)
    assert board.boot_seconds("default") == 10.5


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "", b"\xff"])
def test_a_boot_that_cannot_be_read_is_left_out(board: WorkerRegistry, store: redis.Redis, text: str | bytes):
    store.lpush("boots:default", text)
    assert board.boot_seconds("default") is None
    assert board.faults() == {"boots:default": "holds what is no number of seconds"}
    board.record_boot("default", 45)
    assert board.boot_seconds("default") == 45


def test_boots_of_another_type_are_deleted_and_named(board: WorkerRegistry, store: redis.Redis):
    store.set("boots:default", "x")
    assert board.boot_seconds("default") is None
    assert board.faults() == {"boots:default": "has a value of another type, and was deleted"}
    board.record_boot("default", 45)
    assert board.boot_seconds("default") == 45


def test_boots_beyond_all_bounds_are_deleted_and_named(board: WorkerRegistry, store: redis.Redis):
    store.lpush("boots:default", "1" * 9_000_000)
    assert board.boot_seconds("default") is None
    assert board.faults() == {"boots:default": "has more than 8 MiB, and was deleted"}
    assert not store.exists("boots:default")


@pytest.mark.parametrize(("noted", "believed"), [(1e9, 1800), (-5, 10), (0.1, 10), (1800, 1800), (10, 10)])
def test_a_boot_that_no_instance_takes_is_not_believed(board: WorkerRegistry, noted: float, believed: float):
    board.record_boot("default", noted)
    assert board.boot_seconds("default") == believed


@pytest.mark.parametrize(
    "text",
    ["no JSON", "[]", "{}", b"\xff", "[" * 100_000, '{"minimum": "a", "maximum": 1, "desired": 1}'],
)
def test_sizes_that_cannot_be_read_are_no_news(board: WorkerRegistry, store: redis.Redis, text: str | bytes):
    store.set("group:default", text)
    assert board.group("default") is None
    assert list(board.faults()) == ["group:default"]


def test_sizes_and_queues_of_another_type_are_no_news(
    board: WorkerRegistry, store: redis.Redis, broker: redis_server.Server
):
    put_another_type(store, "group:default")
    with broker.client(0) as client:
        client.set("default", "x")
    assert (board.group("default"), board.queue_length("default")) == (None, 0)
    wrong = "has a value of another type"
    assert board.faults() == {"group:default": wrong, "default": wrong}


def test_a_queue_is_as_long_as_its_messages(board: WorkerRegistry, broker: redis_server.Server):
    with broker.client(0) as client:
        client.lpush("default", "a message", "another")
    assert board.queue_length("default") == 2
    assert board.queue_length("heavy") == 0


def test_a_broker_that_refuses_is_an_error_that_callers_can_name(broker: redis_server.Server):
    board = WorkerRegistry.connect(broker.url.replace("p%25", "q%25"), timeout_seconds=5)
    for ask in (board.reports, board.cordoned):
        with pytest.raises(redis.RedisError):
            ask("default", ["i-1"])
    with pytest.raises(redis.RedisError):
        board.boot_seconds("default")


def test_a_broker_that_does_not_answer_costs_a_time_out():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://:x@127.0.0.1:{mute.getsockname()[1]}/0"
        board = WorkerRegistry.connect(url, timeout_seconds=0.2)
        started = time.monotonic()
        with pytest.raises(redis.RedisError):
            board.is_cordoned("default", "i-1")
    assert time.monotonic() - started < 2


def test_a_connection_that_was_cut_is_opened_anew(board: WorkerRegistry, store: redis.Redis):
    board.report(report("i-1"))
    store.client_kill_filter(_type="normal", skipme=True)
    assert [one.instance for one in board.reports("default", ["i-1"])] == ["i-1"]


def test_a_brokers_certificate_is_checked():
    board = WorkerRegistry.connect("rediss://:x@broker.example:6379/0", timeout_seconds=1)
    options = board._board.connection_pool.connection_kwargs
    assert options["ssl_cert_reqs"] == "required"
    assert options["db"] == worker_registry.REGISTRY_DATABASE
