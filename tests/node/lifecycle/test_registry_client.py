from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from airflow_node.worker_registry import WorkerRegistry

from tests.node import redis_server
from tests.node.lifecycle.node_of import BUSY, Outcome, seen, worker
from tests.node.programs import module

board_visit = module("lifecycle.registry_client")
worker_registry = module("airflow_node.worker_registry")
PROGRAM = redis_server.program()
INSTANCE = "i-0123456789abcdef0"
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="redis-server is not installed here")


@pytest.fixture(scope="module")
def server() -> Iterator[redis_server.Server]:
    assert PROGRAM is not None
    with redis_server.running(PROGRAM) as running:
        yield running


@pytest.fixture
def board(server: redis_server.Server) -> WorkerRegistry:
    server.client(0).flushall()
    return WorkerRegistry.connect(server.url, timeout_seconds=5)


@pytest.fixture
def visits(board: WorkerRegistry) -> board_visit.BoardVisit:
    return board_visit.BoardVisit(board, instance=INSTANCE, pool="default", slots=16, queues=["default", "slow"])


def test_the_masters_learn_how_a_worker_is(visits: board_visit.BoardVisit, board: WorkerRegistry):
    visits.visit(state="working", seen=seen(0, worker=worker("etl manual__1 load try 1", reserved=2)), idle_seconds=0.0)
    (report,) = board.reports("default", [INSTANCE])
    assert (report.instance, report.state, report.slots, report.active) == (INSTANCE, "working", 16, 3)


def test_the_tasks_of_a_worker_that_says_nothing_are_counted(visits: board_visit.BoardVisit, board: WorkerRegistry):
    visits.visit(state="not-consuming", seen=seen(0, worker=worker(age=60.0), running=2), idle_seconds=0.0)
    assert board.reports("default", [INSTANCE])[0].active == 2


def test_a_worker_that_has_not_been_looked_at_yet_is_reported_without_tasks(
    visits: board_visit.BoardVisit, board: WorkerRegistry
):
    visits.visit(state="starting", seen=None, idle_seconds=0.0)
    assert board.reports("default", [INSTANCE])[0].active == 0


def test_a_worker_learns_what_the_masters_want(
    visits: board_visit.BoardVisit, board: WorkerRegistry, server: redis_server.Server
):
    group = worker_registry.GroupSizes(minimum=1, maximum=8, desired=3)
    board.publish_group("default", group)
    board.cordon("default", [INSTANCE])
    server.client(0).lpush("slow", "message", "message")
    found = visits.visit(state="working", seen=seen(0), idle_seconds=0.0)
    assert found == board_visit.Bulletin(retired=True, group=group, queued=2)


def test_an_empty_board_wants_nothing(visits: board_visit.BoardVisit):
    found = visits.visit(state="working", seen=seen(0), idle_seconds=0.0)
    assert found == board_visit.Bulletin(retired=False, group=None, queued=0)


def test_nonsense_on_the_board_is_no_news(visits: board_visit.BoardVisit, server: redis_server.Server):
    server.client(2).set("group:default", '{"minimum": 0}')
    found = visits.visit(state="working", seen=seen(0), idle_seconds=0.0)
    assert found.group is None
    assert list(found.faults) == ["group:default"]


def test_a_worker_hears_of_its_retirement_whatever_tasks_write_elsewhere(
    visits: board_visit.BoardVisit, board: WorkerRegistry, server: redis_server.Server
):
    board.cordon("default", [INSTANCE])
    server.client(2).lpush("group:default", "x")
    server.client(2).lpush(f"worker:default:{INSTANCE}", "x")
    server.client(0).set("default", "x")
    server.client(0).lpush("slow", "message")
    found = visits.visit(state="working", seen=seen(0), idle_seconds=0.0)
    assert (found.problem, found.retired, found.group, found.queued) == (None, True, None, 1)
    assert sorted(found.faults) == ["default", "group:default"]
    assert len(board.reports("default", [INSTANCE])) == 1


def test_the_length_of_a_boot_is_noted(visits: board_visit.BoardVisit, board: WorkerRegistry):
    assert visits.note_boot(31.7).outcome == Outcome.DONE
    assert board.boot_seconds("default") == 31.7


def test_a_broker_that_is_away_is_told_and_raises_nothing():
    away = WorkerRegistry.connect("redis://127.0.0.1:1/0", timeout_seconds=1)
    visits = board_visit.BoardVisit(away, instance=INSTANCE, pool="default", slots=16, queues=["default"])
    found = visits.visit(state="working", seen=seen(0, worker=BUSY), idle_seconds=0.0)
    assert (found.retired, found.group, found.queued) == (None, None, None)
    assert "refused" in found.problem
    assert visits.note_boot(31.7).outcome == Outcome.FAILED


def _with_outcomes(failed_at_once: int, others: int) -> Any:
    return seen(0, worker=dataclasses.replace(worker(), failed_at_once=failed_at_once, others=others))


def _visit(board: WorkerRegistry, instance: str, failed_at_once: int, others: int) -> Any:
    visits = board_visit.BoardVisit(board, instance=instance, pool="default", slots=16, queues=["default"])
    return visits.visit(state="working", seen=_with_outcomes(failed_at_once, others), idle_seconds=0.0)


def test_a_worker_whose_tasks_alone_fail_at_once_learns_that_it_is_at_fault(board: WorkerRegistry):
    assert _visit(board, "i-1", 9, 1).outlier is None, "nobody else has spoken"
    assert _visit(board, "i-2", 0, 20).outlier is None
    assert _visit(board, "i-1", 9, 1).outlier == (
        "9 of its last 10 tasks failed at once, and 0 of 20 on the other workers of its pool"
    )


def test_workers_of_another_pool_prove_nothing(board: WorkerRegistry):
    board.report(worker_registry.Report(instance="i-2", pool="heavy", state="working", others=20))
    assert _visit(board, "i-1", 9, 1).outlier is None


def test_whatever_the_board_says_only_one_worker_of_a_pool_is_found_at_fault(
    board: WorkerRegistry, server: redis_server.Server
):
    """A task can report workers that do not exist, on which everything works."""
    board.report(worker_registry.Report(instance="i-0", pool="default", state="working", others=10**9))
    found = [_visit(board, f"i-{number}", 9, 1).outlier for number in (1, 2, 3, 1)]
    assert [why is not None for why in found] == [True, False, False, True]
    assert 0 < server.client(2).ttl("outlier:default") <= 900, "the next one may follow when this one is replaced"


def test_nonsense_on_the_board_finds_nobody_at_fault(board: WorkerRegistry, server: redis_server.Server):
    _visit(board, "i-2", 0, 20)
    server.client(2).lpush("outlier:default", "i-1")
    found = _visit(board, "i-1", 9, 1)
    assert (found.outlier, found.problem) == (None, None)
