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
    """The registry's database, empty."""
    with broker.client(worker_registry.REGISTRY_DATABASE) as client:
        client.flushall()
        yield client


@pytest.fixture
def registry(broker: redis_server.Server, store: redis.Redis) -> Iterator[WorkerRegistry]:
    assert store.dbsize() == 0
    found = WorkerRegistry.connect(broker.url, timeout_seconds=5)
    yield found
    found.close()


def report(instance: str = "i-1", pool: str = "default", **changes: object) -> worker_registry.Report:
    """A working worker."""
    values = {"state": "working", "slots": 4, "active": 1, "idle_seconds": 0.0}
    return worker_registry.Report(instance=instance, pool=pool, **values | changes)


def forged(**changes: object) -> str:
    """Content that a task may write instead of the worker."""
    return json.dumps(asdict(report()) | changes)


def test_the_masters_read_what_the_workers_report(registry: WorkerRegistry):
    reports = [report("i-1"), report("i-2", state="retired", active=0, idle_seconds=7.5)]
    for one in reversed(reports):
        registry.report(one)
    registry.report(report("i-3", "heavy"))
    assert registry.reports("default", {"i-1", "i-2", "i-3", "i-4"}) == reports
    assert [one.instance for one in registry.reports("heavy", ["i-3"])] == ["i-3"]
    assert registry.faults() == {}


def test_no_instances_have_no_reports(registry: WorkerRegistry):
    assert (registry.reports("default", ()), registry.cordoned("default", ())) == ([], frozenset())


def test_the_report_of_a_worker_that_stops_reporting_expires(registry: WorkerRegistry, store: redis.Redis):
    registry.report(report("i-1"))
    assert 0 < store.ttl("worker:default:i-1") <= 30


def test_ten_thousand_workers_can_be_read(registry: WorkerRegistry, store: redis.Redis):
    pipeline = store.pipeline(transaction=False)
    for number in range(10_000):
        text = json.dumps(
            {"instance": f"i-{number}", "pool": "p", "state": "working", "slots": 1, "active": 0, "idle_seconds": 1}
        )
        pipeline.set(f"worker:p:i-{number}", text)
        pipeline.set(f"retire:p:i-{number}", "1")
    pipeline.execute()
    instances = [f"i-{number}" for number in range(10_000)]
    assert len(registry.reports("p", instances)) == 10_000
    assert len(registry.cordoned("p", instances)) == 10_000


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
def test_a_forged_report_is_left_out_and_reported(registry: WorkerRegistry, store: redis.Redis, text: str | bytes):
    store.set("worker:default:i-1", text)
    registry.report(report("i-2"))
    assert [one.instance for one in registry.reports("default", ["i-1", "i-2"])] == ["i-2"]
    (fault,) = registry.faults().items()
    assert fault[0] == "worker:default:i-1"
    assert "cannot be read" in fault[1]
    assert len(fault[1]) < 400
    assert registry.faults() == {}, "reported once"


def put_another_type(store: redis.Redis, key: str) -> None:
    """Store a value at the key that is neither a string nor a list."""
    store.delete(key)
    store.hset(key, "x", "1")


def test_a_report_of_another_type_is_left_out_and_reported(registry: WorkerRegistry, store: redis.Redis):
    put_another_type(store, "worker:default:i-1")
    registry.report(report("i-2"))
    assert [one.instance for one in registry.reports("default", ["i-1", "i-2"])] == ["i-2"]
    assert registry.faults() == {"worker:default:i-1": "has a value of another type"}
    registry.report(report("i-1"))
    assert len(registry.reports("default", ["i-1"])) == 1, "the worker's own report takes its place"


@pytest.mark.parametrize("key", ["worker:default:i-1", "retire:default:i-1"])
def test_an_entry_that_a_task_wrote_without_expiry_gets_one(registry: WorkerRegistry, store: redis.Redis, key: str):
    store.set(key, forged())
    assert store.ttl(key) == -1
    assert len(registry.reports("default", ["i-1"])) == (key[0] == "w")
    assert len(registry.cordoned("default", ["i-1"])) == (key[0] == "r")
    assert 0 < store.ttl(key) <= 60


def test_reading_does_not_keep_an_entry_alive(registry: WorkerRegistry, store: redis.Redis):
    store.set("worker:default:i-1", forged(), ex=5)
    assert len(registry.reports("default", ["i-1"])) == 1
    assert store.ttl("worker:default:i-1") <= 5


def test_a_report_of_an_unknown_instance_is_a_fault(registry: WorkerRegistry):
    for one in (report("i-1"), report("i-made-up"), report("i-1", "a-pool-that-was-removed")):
        registry.report(one)
    registry.note_unknown_instances({"default": {"i-1"}})
    assert list(registry.faults()) == ["worker:default:i-made-up"]


def test_reports_can_be_read_beside_a_key_of_nine_megabytes(registry: WorkerRegistry, store: redis.Redis):
    store.set("worker:default:" + "x" * 9_000_000, "x")
    registry.report(report("i-1"))
    registry.note_unknown_instances({"default": {"i-1"}})
    assert registry.faults() == {"worker:*:*": "has more than 8 MiB"}
    assert len(registry.reports("default", ["i-1"])) == 1


def test_a_worker_reads_its_neighbours_whatever_tasks_write_beside_them(registry: WorkerRegistry, store: redis.Redis):
    for one in (report("i-1"), report("i-2"), report("i-3", "default-2")):
        registry.report(one)
    store.lpush("worker:default:i-4", "x")
    store.set("worker:default:", "x")
    store.set("worker:default:i-5:more", forged())
    assert [one.instance for one in registry.some_reports("default")] == ["i-1", "i-2"]


def test_a_forged_ejection_expires(registry: WorkerRegistry, store: redis.Redis):
    put_another_type(store, "outlier:default")
    assert not registry.eject("default", "i-1")
    assert 0 < store.ttl("outlier:default") <= 900
    assert list(registry.faults()) == ["outlier:default"]


def test_fifty_thousand_forged_reports_cost_one_step_of_a_scan(registry: WorkerRegistry, store: redis.Redis):
    pipeline = store.pipeline(transaction=False)
    for number in range(50_000):
        pipeline.set(f"worker:default:i-flood-{number}", "x")
    pipeline.execute()
    registry.report(report("i-1"))
    store.config_resetstat()
    assert len(registry.reports("default", ["i-1"])) == 1
    registry.note_unknown_instances({"default": {"i-1"}})
    calls = store.info("commandstats")
    assert sum(calls[name]["calls"] for name in calls if "scan" in name or "keys" in name) == 1
    assert 0 < len(registry.faults()) < 2 * worker_registry.BATCH


def test_a_worker_is_cordoned_until_it_is_uncordoned(registry: WorkerRegistry):
    registry.cordon("default", ["i-1", "i-2"])
    assert registry.is_cordoned("default", "i-1")
    assert not registry.is_cordoned("heavy", "i-1")
    registry.uncordon("default", ["i-1"])
    assert not registry.is_cordoned("default", "i-1")
    assert registry.is_cordoned("default", "i-2")


def test_the_masters_read_their_cordons_before_the_workers_do(registry: WorkerRegistry):
    registry.report(report("i-3"))
    registry.cordon("default", ["i-1", "i-2"])
    registry.cordon("heavy", ["i-9"])
    registry.uncordon("default", ["i-1"])
    assert registry.cordoned("default", ["i-1", "i-2", "i-3", "i-9"]) == {"i-2"}
    assert registry.cordoned("heavy", ["i-9"]) == {"i-9"}


def test_a_cordon_that_is_not_renewed_expires(registry: WorkerRegistry, store: redis.Redis):
    registry.cordon("default", ["i-1"])
    assert 30 < store.ttl("retire:default:i-1") <= 60, "several passes of the masters, and not for ever"


def test_no_workers_can_be_cordoned_and_uncordoned(registry: WorkerRegistry):
    registry.cordon("default", [])
    registry.uncordon("default", [])


def test_the_workers_read_the_sizes_of_their_group(registry: WorkerRegistry, store: redis.Redis):
    assert registry.group("default") is None
    group = GroupSizes(minimum=1, maximum=8, desired=3)
    registry.publish_group("default", group)
    assert registry.group("default") == group
    assert 0 < store.ttl("group:default") <= 60, "old sizes must not let a worker leave"


def test_the_boot_time_is_the_median_of_the_last_twenty(registry: WorkerRegistry):
    assert registry.boot_seconds("default") is None
    for _ in range(20):
        registry.record_boot("default", 500)
    for seconds in range(1, 21):
        registry.record_boot("default", seconds)
    assert registry.boot_seconds("default") == 10.5


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "", b"\xff"])
def test_a_boot_that_cannot_be_read_is_left_out(registry: WorkerRegistry, store: redis.Redis, text: str | bytes):
    store.lpush("boots:default", text)
    assert registry.boot_seconds("default") is None
    assert registry.faults() == {"boots:default": "holds an entry that is not a number of seconds"}
    registry.record_boot("default", 45)
    assert registry.boot_seconds("default") == 45


def test_boots_of_another_type_are_deleted_and_reported(registry: WorkerRegistry, store: redis.Redis):
    store.set("boots:default", "x")
    assert registry.boot_seconds("default") is None
    assert registry.faults() == {"boots:default": "has a value of another type, and was deleted"}
    registry.record_boot("default", 45)
    assert registry.boot_seconds("default") == 45


def test_boots_of_nine_megabytes_are_deleted_and_reported(registry: WorkerRegistry, store: redis.Redis):
    store.lpush("boots:default", "1" * 9_000_000)
    assert registry.boot_seconds("default") is None
    assert registry.faults() == {"boots:default": "has more than 8 MiB, and was deleted"}
    assert not store.exists("boots:default")


@pytest.mark.parametrize(("recorded", "read"), [(1e9, 1800), (-5, 10), (0.1, 10), (1800, 1800), (10, 10)])
def test_the_length_of_a_boot_is_limited_to_what_a_boot_may_take(
    registry: WorkerRegistry, recorded: float, read: float
):
    registry.record_boot("default", recorded)
    assert registry.boot_seconds("default") == read


@pytest.mark.parametrize(
    "text",
    ["no JSON", "[]", "{}", b"\xff", "[" * 100_000, '{"minimum": "a", "maximum": 1, "desired": 1}'],
)
def test_sizes_that_cannot_be_read_are_a_fault(registry: WorkerRegistry, store: redis.Redis, text: str | bytes):
    store.set("group:default", text)
    assert registry.group("default") is None
    assert list(registry.faults()) == ["group:default"]


def test_sizes_and_queues_of_another_type_are_a_fault(
    registry: WorkerRegistry, store: redis.Redis, broker: redis_server.Server
):
    put_another_type(store, "group:default")
    with broker.client(0) as client:
        client.set("default", "x")
    assert (registry.group("default"), registry.queue_length("default")) == (None, 0)
    wrong = "has a value of another type"
    assert registry.faults() == {"group:default": wrong, "default": wrong}


def test_a_queue_is_as_long_as_its_messages(registry: WorkerRegistry, broker: redis_server.Server):
    with broker.client(0) as client:
        client.lpush("default", "a message", "another")
    assert registry.queue_length("default") == 2
    assert registry.queue_length("heavy") == 0


def test_a_broker_that_refuses_raises_a_redis_error(broker: redis_server.Server):
    registry = WorkerRegistry.connect(broker.url.replace("p%25", "q%25"), timeout_seconds=5)
    for ask in (registry.reports, registry.cordoned):
        with pytest.raises(redis.RedisError):
            ask("default", ["i-1"])
    with pytest.raises(redis.RedisError):
        registry.boot_seconds("default")


def test_a_broker_that_does_not_answer_costs_a_time_out():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://:x@127.0.0.1:{mute.getsockname()[1]}/0"
        registry = WorkerRegistry.connect(url, timeout_seconds=0.2)
        started = time.monotonic()
        with pytest.raises(redis.RedisError):
            registry.is_cordoned("default", "i-1")
    assert time.monotonic() - started < 2


def test_a_connection_that_was_cut_is_opened_again(registry: WorkerRegistry, store: redis.Redis):
    registry.report(report("i-1"))
    store.client_kill_filter(_type="normal", skipme=True)
    assert [one.instance for one in registry.reports("default", ["i-1"])] == ["i-1"]


def test_a_brokers_certificate_is_checked():
    registry = WorkerRegistry.connect("rediss://:x@broker.example:6379/0", timeout_seconds=1)
    options = registry._registry.connection_pool.connection_kwargs
    assert options["ssl_cert_reqs"] == "required"
    assert options["db"] == worker_registry.REGISTRY_DATABASE
