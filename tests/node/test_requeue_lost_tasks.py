from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import celery
import kombu
import psycopg
import pytest
import redis

from tests.node.metadata import Metadata
from tests.node.programs import load, module, program_path
from tests.node.redis_server import Server

requeue = load("requeue-lost-tasks")
broker_messages = module("lost_tasks.messages")
LostTasks = module("lost_tasks.search").LostTasks
DAY = 86400.0


@pytest.fixture
def store(broker: Server) -> redis.Redis:
    """The broker's database, empty."""
    client = broker.client(0)
    client.flushall()
    return client


@pytest.fixture
def messages(broker: Server, store: redis.Redis):
    assert store.dbsize() == 0
    return broker_messages.BrokerMessages.connect(broker.url, timeout_seconds=5)


@pytest.fixture
def tasks(metadata: Metadata):
    found = requeue.QueuedTasks(requeue.connection_info(metadata.url), DAY)
    yield found
    found.close()


def _publish(broker: Server, name: str, queue: str = "default", priority: int = 0) -> None:
    app = celery.Celery("scheduler", broker=broker.url)
    app.send_task("execute_workload", ("{}",), task_id=name, queue=queue, priority=priority, ignore_result=True)


def _add(metadata: Metadata, message: str, seconds: float = 60, state: str = "queued", index: int = -1) -> None:
    metadata.execute(
        "INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, try_number, pool, pool_slots, queue, state,"
        " queued_dttm, external_executor_id) VALUES (gen_random_uuid(), %(message)s::text, 'etl', 'r', %(index)s, 1,"
        " 'default_pool', 1, 'default', %(state)s, now() - make_interval(secs => %(seconds)s), %(message)s::text)",
        {"message": message, "state": state, "seconds": seconds, "index": index},
    )


def _queued_for_seconds(metadata: Metadata, message: str) -> float:
    with metadata.connect() as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM now() - queued_dttm)::float FROM task_instance WHERE external_executor_id = %s",
            [message],
        ).fetchone()
    assert row is not None
    return row[0]


def test_waiting_messages_are_found_in_every_priority(broker: Server, messages):
    for name, priority in (("a", 0), ("b", 3), ("c", 9)):
        _publish(broker, name, priority=priority)
    _publish(broker, "other", queue="reports")
    assert set(messages.of(["default"]).waiting) == {"a", "b", "c"}
    assert set(messages.of(["default", "reports"]).waiting) == {"a", "b", "c", "other"}


def test_a_long_queue_is_read_whole_and_left_as_it_is(broker: Server, store: redis.Redis, messages):
    _publish(broker, "first")
    for number in range(2 * broker_messages.BATCH):
        store.lpush("default", f'{{"headers": {{"id": "{number}"}}}}')
    assert len(set(messages.of(["default"]).waiting)) == 2 * broker_messages.BATCH + 1
    assert store.llen("default") == 2 * broker_messages.BATCH + 1


def test_a_queue_beyond_all_bounds_is_not_read(
    broker: Server, messages, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(broker_messages, "LONGEST", 2)
    for name, priority in (("a", 0), ("b", 3), ("c", 9)):
        _publish(broker, name, priority=priority)
    _publish(broker, "other", queue="reports")
    found = messages.of(["default", "reports"])
    assert (set(found.waiting), found.unread) == ({"other"}, {"default"})
    log = requeue.ServiceLog()
    requeue.log_unread(log, {}, messages.unread)
    logged = capsys.readouterr().out
    assert '"key": "default", "why": "holds more than 2 messages", "effect": "lost tasks are not looked for' in logged
    requeue.log_unread(log, messages.unread, messages.unread)
    assert capsys.readouterr().out == "", "once"


def test_a_message_that_a_worker_has_taken_is_found(broker: Server, messages):
    _publish(broker, "a")
    with kombu.Connection(broker.url) as connection, connection.channel() as channel:
        assert kombu.Queue("default")(channel).get() is not None
        found = messages.of(["default"])
        assert (list(found.waiting), list(found.taken)) == ([], ["a"])


@pytest.mark.parametrize("text", ["no JSON", "[]", "7", '{"headers": null}', "[null]"])
def test_a_message_of_anybodys_making_disturbs_nothing(broker: Server, store: redis.Redis, messages, text: str):
    _publish(broker, "a")
    store.lpush("default", text)
    store.hset("unacked", "tag", text)
    assert "a" in messages.of(["default"]).waiting


def test_a_lost_task_is_made_overdue_and_a_waiting_one_is_not(broker: Server, metadata: Metadata, tasks, messages):
    _publish(broker, "waits")
    _add(metadata, "waits")
    _add(metadata, "lost", index=3)
    memory = LostTasks()
    assert requeue.run_pass(0, tasks, messages, memory) == []
    (found,) = requeue.run_pass(60, tasks, messages, memory)
    assert found.task.name == "etl r lost [3] try 1"
    assert _queued_for_seconds(metadata, "lost") > DAY, "the scheduler's own query finds it"
    assert _queued_for_seconds(metadata, "waits") < DAY
    assert requeue.run_pass(120, tasks, messages, memory) == [], "once is enough"


def test_a_lost_task_is_found_behind_any_number_that_wait(
    broker: Server, metadata: Metadata, tasks, messages, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(requeue, "MOST", 2)
    for name in ("a", "b", "c"):
        _publish(broker, name)
        _add(metadata, name, seconds=600)
    for name in ("x", "y", "z"):
        _add(metadata, name)
    memory = LostTasks()
    requeue.run_pass(0, tasks, messages, memory)
    assert len(requeue.run_pass(60, tasks, messages, memory)) == 2
    assert len(requeue.run_pass(70, tasks, messages, memory)) == 1, "the rest"
    assert _queued_for_seconds(metadata, "a") < DAY


@pytest.mark.parametrize(("seconds", "state"), [(5, "queued"), (60, "running"), (60, "scheduled")])
def test_only_tasks_that_have_been_queued_for_a_while_are_looked_at(
    metadata: Metadata, tasks, messages, seconds: float, state: str
):
    _add(metadata, "other", seconds, state)
    memory = LostTasks()
    requeue.run_pass(0, tasks, messages, memory)
    assert requeue.run_pass(10_000, tasks, messages, memory) == []


def test_a_task_that_starts_at_the_last_moment_is_left_alone(metadata: Metadata, tasks, messages):
    _add(metadata, "late")
    memory = LostTasks()
    requeue.run_pass(0, tasks, messages, memory)
    (lost,) = memory.find(60, tasks.read(), messages.of(["default"]))
    metadata.execute("UPDATE task_instance SET state = 'running'")
    tasks.give_back([lost])
    assert _queued_for_seconds(metadata, "late") < DAY


def test_what_happened_while_the_broker_was_away_is_not_guessed(metadata: Metadata, tasks, messages):
    _add(metadata, "lost")
    memory = LostTasks()
    requeue.run_pass(0, tasks, messages, memory)
    away = broker_messages.BrokerMessages.connect("redis://127.0.0.1:1/0", timeout_seconds=1)
    with pytest.raises(redis.RedisError):
        requeue.run_pass(30, tasks, away, memory)
    assert requeue.run_pass(60, tasks, messages, memory) == []
    assert len(requeue.run_pass(110, tasks, messages, memory)) == 1


def test_a_cut_connection_to_the_database_is_opened_anew(metadata: Metadata, tasks, messages):
    _add(metadata, "lost")
    memory = LostTasks()
    requeue.run_pass(0, tasks, messages, memory)
    metadata.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'airflow-lost-tasks'"
    )
    with pytest.raises(psycopg.Error):
        requeue.run_pass(10, tasks, messages, memory)
    assert requeue.run_pass(20, tasks, messages, memory) == []


def test_systemd_is_told_after_each_pass_that_it_goes_on(systemd: socket.socket, metadata: Metadata, broker: Server):
    settings = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.url,
        "AIRFLOW__CELERY__BROKER_URL": broker.url,
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": str(DAY),
    }
    library = program_path("airflow_node").parent
    with subprocess.Popen(
        [sys.executable, str(program_path("requeue-lost-tasks"))],
        env=os.environ | settings | {"PYTHONPATH": str(library), "PYTHONDONTWRITEBYTECODE": "1"},
    ) as process:
        heard = [systemd.recv(100), systemd.recv(100)]
        process.kill()
    assert heard == [b"READY=1", b"WATCHDOG=1"]


def test_the_metrics_count_what_was_queued_again_by_where_its_message_was():
    search, file = module("lost_tasks.search"), module("airflow_node.metrics_file").MetricsFile(None)
    metrics = module("lost_tasks.metrics").LostTaskMetrics(file)

    def requeued(message: str) -> float | None:
        return file.registry.get_sample_value("airflow_lost_tasks_requeued_total", {"message": message})

    assert (requeued("gone"), requeued("taken")) == (0, 0), "an alert on the first one needs a start at zero"
    task = search.QueuedTask(message="m", queue="default", name="etl r t try 1")
    metrics.show([search.LostTask(task=task, whereabouts=search.Whereabouts.GONE)], unread=1)
    metrics.show([], unread=0)
    assert (requeued("gone"), requeued("taken")) == (1, 0)
    assert file.registry.get_sample_value("airflow_lost_tasks_unread_keys") == 0
    assert file.registry.get_sample_value("airflow_lost_tasks_last_pass_timestamp_seconds") == pytest.approx(
        time.time(), abs=60
    )


def test_a_missing_setting_is_named():
    with pytest.raises(requeue.boot_step.StepFailedError, match="AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"):
        requeue.settings({})
