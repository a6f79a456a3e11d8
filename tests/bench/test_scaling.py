"""A short trace through the simulation, so that a change of the decisions shows what it costs."""

from __future__ import annotations

import dataclasses

import pytest

from bench.scaling import decision_cost, picture, report
from bench.scaling.outcome import Comparison, compare
from bench.scaling.traces import DAY, daily
from bench.scaling.work import Trace


def one_night() -> Trace:
    """The daily trace's second night, after one that the forecast learns from."""
    trace = daily()
    runs = tuple(run for run in trace.runs if run.at < 2 * DAY)
    return dataclasses.replace(trace, seconds=2 * DAY, warm_up_seconds=DAY, window=(DAY, 2 * DAY), runs=runs)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(one_night())


def test_scaling_kills_no_task(comparison: Comparison):
    assert comparison.product.killed == 0


def test_a_schedule_is_met_with_less_than_its_peers_need(comparison: Comparison):
    assert [goal for goal in comparison.goals() if not goal.is_met] == []
    assert comparison.best_wait > 60


def test_equal_traces_play_equally(comparison: Comparison):
    again = compare(one_night())
    assert list(report.lines(again)) == list(report.lines(comparison))
    assert picture.draw(again) == picture.draw(comparison)


def test_every_task_is_played_once(comparison: Comparison):
    tasks = sum(len(stage) for run in comparison.trace.runs for stage in run.stages)
    assert len(comparison.product.record.waits) == tasks


def test_the_cost_of_deciding_is_measured_on_workers_that_are_seen():
    cost = decision_cost.measure(((2, 20), (2, 40)))
    assert [(one.pools, one.workers) for one in cost] == [(2, 20), (2, 40)]
    assert all(one.seconds > 0 for one in cost)
