from __future__ import annotations

import pytest
from airflow_node.worker_registry import GroupSizes, WorkerState
from lifecycle.scale_in import may_scale_in


def may_end(
    *,
    state: str = "working",
    active: int = 0,
    idle_seconds: float = 60.0,
    minimum: int = 1,
    desired: int = 2,
    is_known: bool = True,
) -> bool:
    group = GroupSizes(minimum=minimum, maximum=9, desired=desired) if is_known else None
    return may_scale_in(state=state, active=active, idle_seconds=idle_seconds, limit_seconds=60.0, group=group)


def test_a_worker_may_scale_in_after_the_idle_time():
    assert may_end()
    assert not may_end(idle_seconds=59.9)


def test_no_worker_scales_in_with_a_task():
    assert not may_end(active=1)
    assert not may_end(state=WorkerState.CORDONED, active=1)


def test_an_idle_worker_stays_in_a_group_at_its_minimum():
    assert not may_end(minimum=2)


def test_the_last_worker_may_scale_in_if_the_minimum_is_0():
    assert may_end(minimum=0, desired=1)


def test_a_cordoned_worker_may_scale_in_without_idle_time():
    assert may_end(state=WorkerState.CORDONED, idle_seconds=0.0)


def test_a_cordoned_worker_may_scale_in_at_the_published_minimum():
    # The published minimum keeps working workers; the masters do not count a cordoned one any more.
    assert may_end(state=WorkerState.CORDONED, minimum=2)


def test_an_idle_worker_stays_while_no_master_has_published_the_sizes():
    assert not may_end(is_known=False)


@pytest.mark.parametrize("state", ["starting", "draining", "leaving"])
def test_a_worker_in_another_state_may_not_scale_in(state: str):
    assert not may_end(state=state)
