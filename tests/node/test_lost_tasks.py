from __future__ import annotations

from typing import Any

from tests.node.programs import module

lost_tasks = module("lost_tasks.search")
Whereabouts = lost_tasks.Whereabouts
TASK = lost_tasks.QueuedTask(message="m1", queue="default", name="etl r load try 1")
NOTHING = lost_tasks.Messages(waiting=(), taken=())
WAITS = lost_tasks.Messages(waiting=("m1",), taken=())
TAKEN = lost_tasks.Messages(waiting=(), taken=("m1",))


def _find(*seen: tuple[float, object]) -> list[object]:
    """The tasks that are lost at the last of these passes."""
    memory = lost_tasks.LostTasks()
    found: list[Any] = []
    for now, messages in seen:
        found = memory.find(now, [TASK], messages)
    return [lost.whereabouts for lost in found]


def test_a_task_whose_message_waits_is_not_lost():
    assert _find((0, WAITS), (100_000, WAITS)) == []


def test_a_task_whose_message_is_missing_is_lost_after_a_while():
    assert _find((0, NOTHING), (44, NOTHING)) == []
    assert _find((0, NOTHING), (44, NOTHING), (45, NOTHING)) == [Whereabouts.GONE]


def test_no_task_of_a_queue_that_cannot_be_read_counts_as_lost():
    unread = lost_tasks.Messages(waiting=(), taken=(), unread={"default"})
    assert _find((0, unread), (100_000, unread)) == []
    assert _find((0, NOTHING), (44, unread), (60, NOTHING)) == [], "nor for how long"


def test_a_task_that_was_taken_and_never_started_is_lost_after_a_longer_time():
    assert _find((0, TAKEN), (359, TAKEN)) == []
    assert _find((0, TAKEN), (360, TAKEN)) == [Whereabouts.TAKEN]


def test_the_time_starts_again_when_the_message_was_seen():
    assert _find((0, NOTHING), (30, WAITS), (60, NOTHING), (100, NOTHING)) == []
    assert _find((0, TAKEN), (170, NOTHING), (200, NOTHING)) == [], "the worker has just given it back or ended it"


def test_the_time_starts_again_when_the_task_was_started():
    memory = lost_tasks.LostTasks()
    memory.find(0, [TASK], NOTHING)
    memory.find(10, [], NOTHING)
    assert memory.find(50, [TASK], NOTHING) == []


def test_the_time_starts_again_after_a_failed_observation():
    memory = lost_tasks.LostTasks()
    memory.find(0, [TASK], NOTHING)
    memory.forget()
    assert memory.find(50, [TASK], NOTHING) == []
