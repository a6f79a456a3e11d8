"""What a task can do to scaling and to the search for lost tasks: it knows the broker's URL."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
import redis
from airflow_node.worker_registry import WorkerRegistry

from tests.node import redis_server
from tests.node.metadata import Metadata
from tests.node.programs import load, module
from tests.node.scaling import fake_groups
from tests.node.scaling.master import GROUP, Master, put_workers

broker_messages = module("lost_tasks.messages")
requeue = load("requeue-lost-tasks")
worker_registry = module("airflow_node.worker_registry")
LostTasks = module("lost_tasks.search").LostTasks
MADE_UP = [f"i-made-up-{number}" for number in range(5)]
IGNORED = "an entry of the worker registry is ignored"


@pytest.fixture
def instances(aws: boto3.Session, master: Master) -> list[str]:
    """Three workers, in service."""
    assert master.pools
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=3)
    return sorted(fake_groups.instances(aws, GROUP))


@pytest.fixture
def store(broker: redis_server.Server, registry: WorkerRegistry) -> Iterator[redis.Redis]:
    """The registry's database, as a task opens it."""
    assert registry
    with broker.client(worker_registry.REGISTRY_DATABASE) as client:
        yield client


def decision(master: Master) -> dict:
    return master.events("decision")[-1]


def test_forged_workers_hide_no_running_task(aws: boto3.Session, master: Master, registry: WorkerRegistry):
    master.metadata.add_tasks(20, "running")
    put_workers(registry, [4] * 5, state="draining", instances=MADE_UP)
    master.do_passes()
    assert decision(master)["running"] == 20
    assert fake_groups.desired(aws, GROUP) == 5


def test_forged_workers_prevent_no_cordon(master: Master, registry: WorkerRegistry, instances: list[str]):
    for _ in range(12):
        put_workers(registry, [1, 0, 0], instances=instances)
        put_workers(registry, [0] * 5, state="retired", instances=MADE_UP)
        registry.cordon("default", MADE_UP)
        master.metadata.execute("DELETE FROM task_instance")
        master.metadata.add_tasks(1, "running")
        master.do_passes()
    assert decision(master)["cordon"] == instances[1:]


def test_forged_workers_prevent_no_uncordon(master: Master, registry: WorkerRegistry, instances: list[str]):
    put_workers(registry, [4, 4], instances=instances)
    put_workers(registry, [0], state="retired", instances=instances[2:])
    registry.cordon("default", instances[2:])
    put_workers(registry, [0] * 5, instances=MADE_UP)
    master.metadata.add_tasks(8, "running")
    master.metadata.add_tasks(4, "queued")
    master.do_passes()
    assert decision(master)["uncordon"] == instances[2:]


def test_forged_workers_are_logged_once(master: Master, registry: WorkerRegistry, instances: list[str]):
    for _ in range(3):
        put_workers(registry, [1] * 3, instances=instances)
        put_workers(registry, [1], instances=MADE_UP)
        master.do_passes()
    (line,) = master.events(IGNORED)
    assert line["key"] == "worker:default:i-made-up-0"
    assert line["why"] == "comes from no instance of the pool's group and is not counted"
    assert master.metric("airflow_worker_board_ignored_entries") == 1


def test_a_worker_that_its_group_has_just_ended_is_not_called_forged(
    aws: boto3.Session, master: Master, registry: WorkerRegistry, instances: list[str]
):
    put_workers(registry, [1] * 3, instances=instances)
    master.do_passes()
    aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=instances[0], ShouldDecrementDesiredCapacity=True
    )
    put_workers(registry, [1] * 3, instances=instances)
    master.do_passes()
    assert master.events(IGNORED) == []


def test_a_flood_of_forged_workers_does_not_fill_the_journal(master: Master, store: redis.Redis):
    for number in range(500):
        store.set(f"worker:default:i-flood-{number}", "x")
    master.do_passes(3)
    assert 0 < len(master.events(IGNORED)) <= 20


@pytest.mark.parametrize("key", ["boots:default", "worker:default:{}", "retire:default:{}", "group:default"])
@pytest.mark.parametrize("kind", ["text", "list", "hash"])
def test_an_entry_of_another_type_disables_nothing(
    aws: boto3.Session,
    master: Master,
    registry: WorkerRegistry,
    store: redis.Redis,
    instances: list[str],
    key: str,
    kind: str,
):
    master.metadata.add_tasks(16, "running")
    put_workers(registry, [4, 4], instances=instances[1:])
    name = key.format(instances[0])
    {"text": store.set, "list": store.lpush, "hash": lambda of, x: store.hset(of, x, x)}[kind](name, "x")
    master.do_passes(2)
    assert master.events("the worker registry failed") == []
    assert master.events("a pass failed by a fault of this program") == []
    assert decision(master)["workers"]["working"] == 2
    assert fake_groups.desired(aws, GROUP) == 4
    assert registry.group("default") is not None, "the masters' entry is published"
    named = {line["key"] for line in master.events(IGNORED)}
    # A cordon has no value that is read, and the sizes of a group are what masters write and never read.
    assert named == (set() if key.startswith(("retire", "group")) else {name})


@pytest.mark.parametrize(
    "text",
    [b"\xff\xfe", "[" * 100_000, "[" * 4_000, "x" * 20_000_000, '{"active": ' + "9" * 4_000 + "}"],
    ids=["no text", "deep", "deep and short", "huge", "a long number"],
)
def test_one_unreadable_report_hides_no_other_worker(
    master: Master, registry: WorkerRegistry, store: redis.Redis, instances: list[str], text: str | bytes
):
    put_workers(registry, [4, 4], instances=instances[1:])
    store.set(f"worker:default:{instances[0]}", text)
    master.do_passes()
    assert decision(master)["workers"].get("working", 0) >= 2
    assert master.events("the worker registry failed") == []


# The search for lost tasks.


@pytest.fixture
def tasks(metadata: Metadata) -> Iterator[object]:
    metadata.execute(
        "INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, try_number, pool, pool_slots, queue, state,"
        " queued_dttm, external_executor_id) VALUES (gen_random_uuid(), 'lost', 'etl', 'r', -1, 1, 'default_pool', 1,"
        " 'default', 'queued', now() - interval '1 minute', 'lost')"
    )
    found = requeue.QueuedTasks(requeue.connection_info(metadata.url), 86_400.0)
    yield found
    found.close()


@pytest.fixture
def queues(broker: redis_server.Server) -> Iterator[redis.Redis]:
    """The database with Celery's queues, empty."""
    with broker.client(0) as client:
        client.flushall()
        yield client


@pytest.fixture
def messages(broker: redis_server.Server) -> broker_messages.BrokerMessages:
    return broker_messages.BrokerMessages.connect(broker.url, timeout_seconds=5)


def lost_after(seconds: float, tasks: object, messages: broker_messages.BrokerMessages) -> list[str]:
    memory = LostTasks()
    requeue.run_pass(0, tasks, messages, memory)
    return [found.task.message for found in requeue.run_pass(seconds, tasks, messages, memory)]


@pytest.mark.parametrize(
    "text", [b"\xff", "[" * 100_000, '{"headers": {"id": ["lost"]}}', json.dumps({"headers": {"id": "x" * 100_000}})]
)
def test_nothing_among_the_taken_messages_stops_the_search_for_lost_tasks(
    queues: redis.Redis, tasks: object, messages: broker_messages.BrokerMessages, text: str | bytes
):
    queues.hset("unacked", "x", text)
    queues.lpush("default", text)
    assert lost_after(60, tasks, messages) == ["lost"]


def fill(queues: redis.Redis, kind: str) -> None:
    """Make the list of taken messages unreadable."""
    if kind == "type":
        queues.set("unacked", "x")
    elif kind == "size":
        queues.hset("unacked", "x", "x" * 9_000_000)
    else:
        queues.hset("unacked", mapping={str(number): "x" for number in range(broker_messages.LONGEST + 1)})


@pytest.mark.parametrize("kind", ["type", "size", "number"])
def test_a_lost_task_is_found_later_while_the_taken_messages_cannot_be_read(
    queues: redis.Redis,
    tasks: object,
    messages: broker_messages.BrokerMessages,
    kind: str,
    capsys: pytest.CaptureFixture[str],
):
    fill(queues, kind)
    assert lost_after(60, tasks, messages) == []
    assert lost_after(360, tasks, messages) == ["lost"]
    requeue.log_unread(requeue.ServiceLog(), {}, messages.unread)
    logged = json.loads(capsys.readouterr().out.removeprefix("<4>"))
    assert logged["key"] == "unacked"
    assert "six minutes" in logged["effect"]


@pytest.mark.parametrize("value", ["x", "size"])
def test_a_queue_that_cannot_be_read_keeps_no_other_from_being_searched(
    queues: redis.Redis,
    metadata: Metadata,
    tasks: object,
    messages: broker_messages.BrokerMessages,
    value: str,
    capsys: pytest.CaptureFixture[str],
):
    metadata.execute(
        "INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, try_number, pool, pool_slots, queue, state,"
        " queued_dttm, external_executor_id) VALUES (gen_random_uuid(), 'other', 'etl', 'r', -1, 1, 'default_pool', 1,"
        " 'other', 'queued', now() - interval '1 minute', 'other')"
    )
    if value == "x":
        queues.set("default", "x")
    else:
        queues.lpush("default", "x" * 9_000_000)
    assert lost_after(60, tasks, messages) == ["other"]
    requeue.log_unread(requeue.ServiceLog(), {}, messages.unread)
    logged = json.loads(capsys.readouterr().out.removeprefix("<4>"))
    assert (logged["key"], logged["why"][:4]) == ("default", "has ")
