from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scaling.forecast import LEAD_MARGIN_SECONDS, DueRun, expected_tasks, lead_seconds, peak_concurrency

from tests.node.scaling.pools import POOL


def due(seconds: float, **peak: int) -> DueRun:
    return DueRun(dag_id="etl", starts_in_seconds=seconds, peak=peak)


@pytest.mark.parametrize(
    ("intervals", "peak"),
    [
        ([], 0),
        ([(0, 10)], 1),
        ([(0, 10), (10, 20)], 1),
        ([(0, 10), (9, 20), (5, 6)], 2),
        ([(0, 10), (1, 10), (2, 10)], 3),
        ([(5, 5)], 0),
    ],
)
def test_the_peak_is_how_many_overlap_at_most(intervals: list[tuple[float, float]], peak: int):
    assert peak_concurrency(intervals) == peak


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), max_size=20))
def test_the_peak_is_reached_where_an_interval_begins(pairs: list[tuple[int, int]]):
    intervals = [(begin, begin + length) for begin, length in pairs]
    at_beginnings = [sum(begin <= at < end for begin, end in intervals) for at, _ in intervals]
    assert peak_concurrency(intervals) == max(at_beginnings, default=0)


def test_runs_within_the_lead_are_expected_in_the_pools_own_queues():
    runs = [due(50, default=7, heavy=100), due(100, default=5), due(101, default=1000)]
    assert expected_tasks(runs, ("default",), 100) == 12


def test_a_late_run_is_expected_until_it_is_created():
    assert expected_tasks([due(-20, default=7)], ("default",), 100) == 7


def test_a_dag_without_history_is_no_reason_for_workers():
    assert expected_tasks([due(10)], ("default",), 100) == 0


def test_the_lead_is_the_setting_until_a_boot_was_measured():
    pool = dataclasses.replace(POOL, boot_lead_seconds=180.0)
    assert lead_seconds(pool, None) == 180.0 + LEAD_MARGIN_SECONDS
    assert lead_seconds(pool, 40.0) == 40.0 + LEAD_MARGIN_SECONDS
