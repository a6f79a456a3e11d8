from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow_node.worker_registry import WorkerRegistry
from lifecycle.registry_client import RegistryClient, reason_for_outlier

from tests.node import redis_server
from tests.node.lifecycle.node_of import BUSY, Outcome, observation, observed, worker
from tests.node.programs import module

worker_registry = module("airflow_node.worker_registry")
INSTANCE = "i-0123456789abcdef0"


@pytest.fixture(scope="module")
def server() -> Iterator[redis_server.Server]:
    with redis_server.running() as running:
        yield running


@pytest.fixture
def registry(server: redis_server.Server) -> WorkerRegistry:
    server.client(0).flushall()
    return WorkerRegistry.connect(server.url, timeout_seconds=5)


@pytest.fixture
def client(registry: WorkerRegistry) -> RegistryClient:
    return RegistryClient(registry, instance=INSTANCE, pool="default", slots=16, queues=["default", "slow"])


def test_the_masters_read_the_state_of_a_worker(client: RegistryClient, registry: WorkerRegistry):
    client.exchange(
        state="working", seen=observed(0, worker=worker("etl manual__1 load try 1", reserved=2)), idle_seconds=0.0
    )
    (report,) = registry.reports("default", [INSTANCE])
    assert (report.instance, report.state, report.slots, report.active) == (INSTANCE, "working", 16, 3)


def test_the_tasks_of_a_worker_that_does_not_report_are_counted(client: RegistryClient, registry: WorkerRegistry):
    client.exchange(state="not-consuming", seen=observed(0, worker=worker(age=60.0), running=2), idle_seconds=0.0)
    assert registry.reports("default", [INSTANCE])[0].active == 2


def test_a_worker_that_was_not_observed_yet_is_reported_without_tasks(client: RegistryClient, registry: WorkerRegistry):
    client.exchange(state="starting", seen=None, idle_seconds=0.0)
    assert registry.reports("default", [INSTANCE])[0].active == 0


def test_a_worker_reads_its_cordon_its_group_and_its_queues(
    client: RegistryClient, registry: WorkerRegistry, server: redis_server.Server
):
    group = worker_registry.GroupSizes(minimum=1, maximum=8, desired=3)
    registry.publish_group("default", group)
    registry.cordon("default", [INSTANCE])
    server.client(0).lpush("slow", "message", "message")
    found = client.exchange(state="working", seen=observed(0), idle_seconds=0.0)
    assert found == observation.RegistrySnapshot(cordoned=True, group=group, queued=2)


def test_an_empty_registry_requests_nothing(client: RegistryClient):
    found = client.exchange(state="working", seen=observed(0), idle_seconds=0.0)
    assert found == observation.RegistrySnapshot(cordoned=False, group=None, queued=0)


def test_sizes_that_cannot_be_read_are_reported_as_a_fault(client: RegistryClient, server: redis_server.Server):
    server.client(2).set("group:default", '{"minimum": 0}')
    found = client.exchange(state="working", seen=observed(0), idle_seconds=0.0)
    assert found.group is None
    assert list(found.faults) == ["group:default"]


def test_a_worker_reads_its_cordon_whatever_tasks_write_to_other_keys(
    client: RegistryClient, registry: WorkerRegistry, server: redis_server.Server
):
    registry.cordon("default", [INSTANCE])
    server.client(2).lpush("group:default", "x")
    server.client(2).lpush(f"worker:default:{INSTANCE}", "x")
    server.client(0).set("default", "x")
    server.client(0).lpush("slow", "message")
    found = client.exchange(state="working", seen=observed(0), idle_seconds=0.0)
    assert (found.problem, found.cordoned, found.group, found.queued) == (None, True, None, 1)
    assert sorted(found.faults) == ["default", "group:default"]
    assert len(registry.reports("default", [INSTANCE])) == 1


def test_the_length_of_a_boot_is_stored(client: RegistryClient, registry: WorkerRegistry):
    assert client.record_boot(31.7).outcome == Outcome.DONE
    assert registry.boot_seconds("default") == 31.7


def test_a_broker_that_is_away_is_reported_and_raises_nothing():
    away = WorkerRegistry.connect("redis://127.0.0.1:1/0", timeout_seconds=1)
    client = RegistryClient(away, instance=INSTANCE, pool="default", slots=16, queues=["default"])
    found = client.exchange(state="working", seen=observed(0, worker=BUSY), idle_seconds=0.0)
    assert (found.cordoned, found.group, found.queued) == (None, None, None)
    assert "refused" in str(found.problem)
    assert client.record_boot(31.7).outcome == Outcome.FAILED


def _with_outcomes(failed_at_once: int, others: int) -> Any:
    return observed(0, worker=dataclasses.replace(worker(), failed_at_once=failed_at_once, others=others))


def _exchange(registry: WorkerRegistry, instance: str, failed_at_once: int, others: int) -> Any:
    client = RegistryClient(registry, instance=instance, pool="default", slots=16, queues=["default"])
    return client.exchange(state="working", seen=_with_outcomes(failed_at_once, others), idle_seconds=0.0)


def test_a_worker_whose_tasks_alone_fail_at_once_is_an_outlier(registry: WorkerRegistry):
    assert _exchange(registry, "i-1", 9, 1).outlier is None, "no other worker has reported"
    assert _exchange(registry, "i-2", 0, 20).outlier is None
    assert _exchange(registry, "i-1", 9, 1).outlier == (
        "9 of its last 10 tasks failed at once, and 0 of 20 on the other workers of its pool"
    )


def test_workers_of_another_pool_do_not_count_as_neighbours(registry: WorkerRegistry):
    registry.report(worker_registry.Report(instance="i-2", pool="heavy", state="working", others=20))
    assert _exchange(registry, "i-1", 9, 1).outlier is None


def test_only_one_worker_of_a_pool_can_be_an_outlier_at_a_time(registry: WorkerRegistry, server: redis_server.Server):
    """A task can write reports of workers that do not exist and have no failures."""
    registry.report(worker_registry.Report(instance="i-0", pool="default", state="working", others=10**9))
    found = [_exchange(registry, f"i-{number}", 9, 1).outlier for number in (1, 2, 3, 1)]
    assert [why is not None for why in found] == [True, False, False, True]
    assert 0 < server.client(2).ttl("outlier:default") <= 900, "the next one may follow when this one is replaced"


def test_no_worker_is_an_outlier_while_the_ejection_cannot_be_read(
    registry: WorkerRegistry, server: redis_server.Server
):
    _exchange(registry, "i-2", 0, 20)
    server.client(2).lpush("outlier:default", "i-1")
    found = _exchange(registry, "i-1", 9, 1)
    assert (found.outlier, found.problem) == (None, None)


def tasks(failed_at_once: int, others: int) -> Any:
    return SimpleNamespace(failed_at_once=failed_at_once, others=others)


def test_an_outlier_is_told_from_its_neighbours_outcomes():
    assert reason_for_outlier(tasks(12, 2), [tasks(0, 9), tasks(1, 10)]) == (
        "12 of its last 14 tasks failed at once, and 1 of 20 on the other workers of its pool"
    )


@pytest.mark.parametrize(
    ("own", "neighbours"),
    [
        pytest.param(tasks(12, 2), [tasks(9, 1), tasks(10, 0)], id="tasks fail alike everywhere"),
        pytest.param(tasks(12, 2), [], id="it is the only one of its pool"),
        pytest.param(tasks(12, 2), [tasks(0, 2), tasks(0, 2)], id="the others have hardly had a task"),
        pytest.param(tasks(12, 2), [tasks(3, 17)], id="the others' tasks fail now and then"),
        pytest.param(tasks(4, 0), [tasks(0, 100)], id="a few failures may be chance"),
        pytest.param(tasks(12, 13), [tasks(0, 100)], id="most of its tasks work"),
        pytest.param(tasks(0, 0), [tasks(0, 0)], id="no worker has had a task"),
    ],
)
def test_a_worker_is_no_outlier_if(own: Any, neighbours: list[Any]):
    assert reason_for_outlier(own, neighbours) is None
