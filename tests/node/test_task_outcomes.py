from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.node.programs import load

outcomes = load("python/task_outcomes.py")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    monkeypatch.setattr(outcomes, "_writer", writer)
    yield outcomes.RecentOutcomes(reader)
    os.close(reader)
    os.close(writer)


def _end(state: str | None, celery: str = "SUCCESS", seconds: float = 1.0) -> None:
    """One task, as Celery and Airflow see it in a process of the pool."""
    outcomes._begin()
    outcomes._Supervised.since -= seconds
    if state is not None:
        outcomes.noting_state(lambda _: 0)(SimpleNamespace(final_state=state))
    outcomes._end(state=celery)


@pytest.mark.parametrize(
    ("state", "celery", "seconds", "counts"),
    [
        ("failed", "SUCCESS", 1, (1, 0)),
        ("up_for_retry", "SUCCESS", 29, (1, 0)),
        (None, "FAILURE", 1, (1, 0)),
        ("failed", "SUCCESS", 31, (0, 1)),
        ("success", "SUCCESS", 1, (0, 1)),
        ("deferred", "SUCCESS", 1, (0, 1)),
        (None, "IGNORED", 1, (0, 0)),
    ],
)
def test_only_what_fails_within_half_a_minute_fails_at_once(
    counted: Any, state: str | None, celery: str, seconds: float, counts: tuple[int, int]
):
    _end(state, celery, seconds)
    assert counted.count(0.0) == counts


def test_a_failure_does_not_count_for_the_next_task(counted: Any):
    _end("failed")
    _end(None)
    assert counted.count(0.0) == (1, 1)


def test_an_outcome_older_than_ten_minutes_does_not_count(counted: Any):
    _end("failed")
    assert counted.count(0.0) == (1, 0)
    _end("success")
    assert counted.count(600.0) == (1, 1)
    assert counted.count(601.0) == (0, 1)


def test_a_full_pipe_does_not_delay_a_task(counted: Any):
    outcomes._begin()
    for _ in range(70_000):
        outcomes._end(state="SUCCESS")
    failed, others = counted.count(0.0)
    assert failed == 0
    assert others >= 4096
