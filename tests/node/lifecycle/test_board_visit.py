from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node import redis_server
from tests.node.lifecycle.node_of import BUSY, Outcome, pool, seen, worker
from tests.node.programs import module

board_visit = module("lifecycle.board_visit")
worker_board = module("worker_board")
PROGRAM = redis_server.program()
INSTANCE = "i-0123456789abcdef0"
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="redis-server is not installed here")


@pytest.fixture(scope="module")
def server() -> Iterator[redis_server.Server]:
    assert PROGRAM is not None
    with redis_server.running(PROGRAM) as running:
        yield running


@pytest.fixture
def board(server: redis_server.Server) -> worker_board.WorkerBoard:
    server.client(0).flushall()
    return worker_board.WorkerBoard.connect(server.url, timeout_seconds=5)


@pytest.fixture
def visits(board: worker_board.WorkerBoard) -> board_visit.BoardVisit:
    return board_visit.BoardVisit(board, instance=INSTANCE, pool="default", slots=16, queues=["default", "slow"])


def test_the_masters_learn_how_a_worker_is(visits: board_visit.BoardVisit, board: worker_board.WorkerBoard):
    visits.visit(state="working", seen=seen(0, worker=worker("etl manual__1 load try 1", reserved=2)), idle_seconds=0.0)
    (report,) = board.reports("default")
    assert (report.instance, report.state, report.slots, report.active) == (INSTANCE, "working", 16, 3)


def test_the_tasks_of_a_worker_that_says_nothing_are_counted(
    visits: board_visit.BoardVisit, board: worker_board.WorkerBoard
):
    visits.visit(state="not-consuming", seen=seen(0, worker=worker(age=60.0), running=2), idle_seconds=0.0)
    assert board.reports("default")[0].active == 2


def test_a_worker_that_has_not_been_looked_at_yet_is_reported_without_tasks(
    visits: board_visit.BoardVisit, board: worker_board.WorkerBoard
):
    visits.visit(state="starting", seen=None, idle_seconds=0.0)
    assert board.reports("default")[0].active == 0


def test_a_worker_learns_what_the_masters_want(
    visits: board_visit.BoardVisit, board: worker_board.WorkerBoard, server: redis_server.Server
):
    group = pool.Group(minimum=1, maximum=8, desired=3)
    board.publish_group("default", group)
    board.retire("default", [INSTANCE])
    server.client(0).lpush("slow", "message", "message")
    found = visits.visit(state="working", seen=seen(0), idle_seconds=0.0)
    assert found == board_visit.Bulletin(retired=True, group=group, queued=2)


def test_an_empty_board_wants_nothing(visits: board_visit.BoardVisit):
    found = visits.visit(state="working", seen=seen(0), idle_seconds=0.0)
    assert found == board_visit.Bulletin(retired=False, group=None, queued=0)


def test_nonsense_on_the_board_is_no_news(visits: board_visit.BoardVisit, server: redis_server.Server):
    server.client(2).set("group:default", '{"minimum": 0}')
    assert visits.visit(state="working", seen=seen(0), idle_seconds=0.0).group is None


def test_the_length_of_a_boot_is_noted(visits: board_visit.BoardVisit, board: worker_board.WorkerBoard):
    assert visits.note_boot(31.7).outcome == Outcome.DONE
    assert board.boot_seconds("default") == 31.7


def test_a_broker_that_is_away_is_told_and_raises_nothing():
    away = worker_board.WorkerBoard.connect("redis://127.0.0.1:1/0", timeout_seconds=1)
    visits = board_visit.BoardVisit(away, instance=INSTANCE, pool="default", slots=16, queues=["default"])
    found = visits.visit(state="working", seen=seen(0, worker=BUSY), idle_seconds=0.0)
    assert (found.retired, found.group, found.queued) == (None, None, None)
    assert "refused" in found.problem
    assert visits.note_boot(31.7).outcome == Outcome.FAILED
