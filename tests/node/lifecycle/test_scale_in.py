from __future__ import annotations

import pytest
from airflow_node.worker_registry import GroupSizes
from lifecycle.scale_in import may_leave


def leaves(
    *,
    state: str = "working",
    active: int = 0,
    idle_seconds: float = 60.0,
    minimum: int = 1,
    desired: int = 2,
    is_known: bool = True,
) -> bool:
    group = GroupSizes(minimum=minimum, maximum=9, desired=desired) if is_known else None
    return may_leave(state=state, active=active, idle_seconds=idle_seconds, limit_seconds=60.0, group=group)


def test_a_worker_leaves_when_it_was_idle_for_the_limit():
    assert leaves()
    assert not leaves(idle_seconds=59.9)


def test_nobody_leaves_with_a_task():
    assert not leaves(active=1)
    assert not leaves(state="retired", active=1)


def test_at_the_minimum_a_worker_stays():
    assert not leaves(minimum=2)


def test_a_group_of_nothing_may_be_left_by_its_last_worker():
    assert leaves(minimum=0, desired=1)


def test_a_retired_worker_leaves_with_its_last_task():
    assert leaves(state="retired", idle_seconds=0.0)


def test_a_retired_worker_asks_auto_scaling_even_at_the_published_minimum():
    # The published minimum keeps working ones from following; who was retired has been counted out already.
    assert leaves(state="retired", minimum=2)


def test_while_no_master_has_a_word_idle_workers_stay():
    assert not leaves(is_known=False)


@pytest.mark.parametrize("state", ["starting", "draining", "leaving"])
def test_who_is_on_the_way_in_or_out_does_not_leave_again(state: str):
    assert not leaves(state=state)
