from __future__ import annotations

import pytest

from tests.node.metadata import Metadata, Task
from tests.node.programs import module

due_runs = module("scaling.due_runs")


def read(metadata: Metadata, ahead_seconds: float = 120, reader: due_runs.DueRuns | None = None) -> list:
    """What the scaling service finds."""
    with metadata.connect() as connection:
        return (reader or due_runs.DueRuns()).read(connection, ahead_seconds)


def burst(tasks: int, queue: str = "default", begin: float = 1, end: float = 60) -> list[Task]:
    """Tasks that all run at the same time."""
    return [Task(begin, end, queue) for _ in range(tasks)]


def test_a_run_that_is_due_comes_with_the_concurrency_that_the_last_one_reached(metadata: Metadata):
    metadata.add_dag("hourly", 100)
    metadata.add_run("hourly", 1, [*burst(7), *burst(2, "heavy"), Task(100, 200)])
    (run,) = read(metadata)
    assert run.dag_id == "hourly"
    assert run.starts_in_seconds == pytest.approx(100, abs=5)
    assert run.peak == {"default": 7, "heavy": 2}


def test_a_run_that_is_due_later_is_left_out(metadata: Metadata):
    metadata.add_dag("daily", 200)
    assert read(metadata, ahead_seconds=120) == []
    assert len(read(metadata, ahead_seconds=300)) == 1


def test_a_run_that_the_scheduler_has_yet_to_create_is_still_due(metadata: Metadata):
    metadata.add_dag("a little late", -20)
    metadata.add_dag("held up", -3600)
    assert [run.dag_id for run in read(metadata)] == ["a little late"]


@pytest.mark.parametrize("flag", ["is_paused", "is_stale", "exceeds_max_non_backfill", "has_import_errors"])
def test_a_dag_that_would_get_no_run_is_left_out(metadata: Metadata, flag: str):
    metadata.add_dag("a", 30, **{flag: True})
    assert read(metadata) == []


def test_a_dag_without_a_date_is_left_out(metadata: Metadata):
    metadata.add_dag("triggered by an asset", 30)
    metadata.execute("UPDATE dag SET next_dagrun_create_after = NULL")
    assert read(metadata) == []


def test_the_highest_of_the_last_three_successful_runs_counts(metadata: Metadata):
    metadata.add_dag("a", 30)
    metadata.add_run("a", 0.5, burst(9), state="failed")
    metadata.add_run("a", 0.7, burst(10), run_type="manual")
    for hours_ago, tasks in enumerate([2, 5, 3, 8], start=1):
        metadata.add_run("a", hours_ago, burst(tasks))
    assert [run.peak for run in read(metadata)] == [{"default": 5}]


def test_a_dag_without_a_successful_run_has_no_peak(metadata: Metadata):
    metadata.add_dag("new", 30)
    metadata.add_run("new", 1, burst(9), state="running")
    assert [run.peak for run in read(metadata)] == [{}]


def test_runs_of_a_partitioned_timetable_have_no_logical_date_and_count(metadata: Metadata):
    metadata.add_dag("a", 30, timetable_partitioned=True)
    metadata.add_run("a", 1, burst(4), has_logical_date=False)
    assert [run.peak for run in read(metadata)] == [{"default": 4}]


def test_tasks_that_get_ready_long_after_the_start_do_not_count(metadata: Metadata):
    metadata.add_dag("a", 30)
    metadata.add_run("a", 3, [*burst(1), *burst(50, begin=3600, end=3700)])
    assert [run.peak for run in read(metadata)] == [{"default": 1}]


def test_tasks_that_waited_for_a_worker_count_by_when_they_were_queued(metadata: Metadata):
    metadata.add_dag("a", 30)
    metadata.add_run("a", 3, [Task(250, 300, queued=2) for _ in range(4)])
    assert [run.peak for run in read(metadata)] == [{"default": 4}]


@pytest.mark.parametrize("left", ["deferred", "up_for_reschedule", "up_for_retry"])
def test_tasks_that_soon_wait_without_a_worker_count_for_the_worker_they_began_on(metadata: Metadata, left: str):
    metadata.add_dag("a", 30)
    metadata.add_run("a", 3, [Task(600, 605, earlier=[(1, 3)], left=left) for _ in range(20)])
    assert [run.peak for run in read(metadata)] == [{"default": 20}]


def test_tasks_that_wait_without_a_worker_take_none_meanwhile(metadata: Metadata):
    metadata.add_dag("a", 30)
    staggered = [Task(2 * number + 51, 2 * number + 52, earlier=[(2 * number, 2 * number + 1)]) for number in range(60)]
    metadata.add_run("a", 3, staggered)
    assert [run.peak for run in read(metadata)] == [{"default": 1}]


def test_each_look_of_a_rescheduled_sensor_counts_by_itself(metadata: Metadata):
    metadata.add_dag("a", 30)
    looks = [(start, start + 2) for start in range(1, 600, 60)]
    sensors = [Task(601, 603, earlier=looks, left="up_for_reschedule") for _ in range(3)]
    metadata.add_run("a", 3, [*sensors, *burst(4, begin=60, end=100), *burst(4, begin=100, end=120)])
    assert [run.peak for run in read(metadata)] == [{"default": 7}]


def test_of_a_task_whose_log_was_cleaned_up_the_last_stretch_on_a_worker_counts(metadata: Metadata):
    metadata.add_dag("a", 30)
    resumed_soon = [Task(2 * number + 51, 2 * number + 52, earlier=[(0, 1)]) for number in range(60)]
    metadata.add_run("a", 3, resumed_soon)
    metadata.execute("DELETE FROM log")
    assert [run.peak for run in read(metadata)] == [{"default": 1}]


def test_a_run_that_was_read_is_not_read_again(metadata: Metadata):
    reader = due_runs.DueRuns()
    metadata.add_dag("a", 30)
    metadata.add_run("a", 2, burst(4))
    assert read(metadata, reader=reader)[0].peak == {"default": 4}
    metadata.execute("DELETE FROM task_instance")
    assert read(metadata, reader=reader)[0].peak == {"default": 4}
    metadata.add_run("a", 1, burst(6))
    assert read(metadata, reader=reader)[0].peak == {"default": 6}


def test_what_is_not_due_any_more_is_forgotten(metadata: Metadata):
    reader = due_runs.DueRuns()
    metadata.add_dag("a", 30)
    metadata.add_run("a", 2, burst(4))
    read(metadata, reader=reader)
    metadata.execute("DELETE FROM dag")
    read(metadata, reader=reader)
    assert reader._peaks == {}


def test_one_pass_reads_so_many_new_runs_and_the_next_one_the_others(
    metadata: Metadata, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(due_runs, "MOST_NEW_RUNS", 1)
    reader = due_runs.DueRuns()
    for dag in ("a", "b"):
        metadata.add_dag(dag, 30)
        metadata.add_run(dag, 1, burst(4))
    assert sorted(len(run.peak) for run in read(metadata, reader=reader)) == [0, 1]
    assert [len(run.peak) for run in read(metadata, reader=reader)] == [1, 1]
