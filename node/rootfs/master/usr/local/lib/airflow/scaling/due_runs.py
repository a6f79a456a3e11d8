"""The demand of the near future: DAG runs that are due, and how many tasks at a time their last runs had."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg

from scaling.forecast import DueRun, peak_concurrency

# How many due DAGs one pass considers.
MOST_DAGS = 500
# A run that is later than this is delayed by something that more workers would not change.
LATE_SECONDS = 300
# A DAG's concurrency is that of so many successful runs, which are searched among so many of the newest.
RUNS_ASKED = 3
RUNS_SEEN = 20
# Limits for one pass; the next pass reads the remaining runs.
MOST_NEW_RUNS = 200
MOST_STRETCHES_OF_A_RUN = 2_000
# Tasks that become ready, or return, later than this after their run's start do not count: workers that were launched
# for the run's start would be idle until then, and leave. The value is a pool's default idle time plus a boot: in an
# unexpected run, the first task waits for a boot, and all others for that task.
FIRST_SECONDS = 180

# Airflow's own condition for creating a run, `DagModel.dags_needing_dagruns`, applied to a later time. The column is
# set for all timetables with dates; runs that assets trigger have no date before they exist.
DUE_DAGS = """
SELECT dag_id, extract(epoch FROM next_dagrun_create_after - now())::float8, timetable_partitioned
FROM dag
WHERE next_dagrun_create_after > now() - %(late)s * interval '1 second'
  AND next_dagrun_create_after <= now() + %(ahead)s * interval '1 second'
  AND NOT is_paused AND NOT is_stale AND NOT exceeds_max_non_backfill AND has_import_errors IS NOT TRUE
ORDER BY next_dagrun_create_after
LIMIT %(most)s
"""

# In the order of (dag_id, logical_date), which has an index, so that a DAG with a hundred thousand runs takes no longer
# than others. Runs of a partitioned timetable have no logical date; only these are sorted.
LAST_RUNS = """
SELECT last.dag_id, last.run_id, last.start_date
FROM unnest(%(dags)s::text[], %(partitioned)s::bool[]) AS due (dag_id, partitioned)
CROSS JOIN LATERAL (
    SELECT seen.* FROM (
        (SELECT * FROM dag_run
         WHERE dag_run.dag_id = due.dag_id AND logical_date IS NOT NULL AND NOT due.partitioned
         ORDER BY logical_date DESC LIMIT %(seen)s)
        UNION ALL
        (SELECT * FROM dag_run
         WHERE dag_run.dag_id = due.dag_id AND logical_date IS NULL AND due.partitioned
         ORDER BY run_after DESC LIMIT %(seen)s)
    ) AS seen
    WHERE seen.state = 'success' AND seen.run_type = 'scheduled' AND seen.start_date IS NOT NULL
    ORDER BY seen.run_after DESC LIMIT %(asked)s
) AS last
"""

# A task that is deferred, rescheduled or retried leaves its worker and returns, so it runs in several intervals
# ("stretches"). Its row describes the last one. When it returns it is queued again (`queued_dttm`); a deferred task
# keeps the start date of its first stretch (`ti_run` in airflow/api_fastapi/execution_api/routes/task_instances.py).
# Earlier stretches are in the log, where the execution API records each start and change of state, unless the log was
# cleaned.
STRETCHES = """
SELECT run.dag_id, run.run_id, work.queue,
       extract(epoch FROM work.began)::float8, extract(epoch FROM work.ended)::float8
FROM unnest(%(dags)s::text[], %(runs)s::text[], %(starts)s::timestamptz[]) AS run (dag_id, run_id, start_date)
CROSS JOIN LATERAL (SELECT run.start_date + %(first)s * interval '1 second' AS last_moment) AS counted
CROSS JOIN LATERAL (
    SELECT ti.queue, stretch.began, stretch.ended
    FROM task_instance AS ti
    CROSS JOIN LATERAL (
        SELECT coalesce(ti.queued_dttm, ti.start_date) AS ready,
               greatest(ti.queued_dttm, ti.start_date) AS began, ti.end_date AS ended
        UNION ALL
        SELECT seen.dttm, seen.dttm, coalesce(seen.next_dttm, counted.last_moment)
        FROM (
            SELECT event, dttm, lead(dttm) OVER (ORDER BY dttm, id) AS next_dttm
            FROM log
            WHERE log.dag_id = ti.dag_id AND log.task_id = ti.task_id
              AND log.run_id = ti.run_id AND log.map_index = ti.map_index
              AND event = ANY(%(events)s) AND dttm < ti.queued_dttm AND dttm <= counted.last_moment
        ) AS seen
        WHERE seen.event = 'running'
    ) AS stretch
    WHERE ti.dag_id = run.dag_id AND ti.run_id = run.run_id
      AND ti.queue IS NOT NULL AND ti.end_date > ti.start_date
      AND stretch.ready <= counted.last_moment
    LIMIT %(most)s
) AS work
"""
# Events that the execution API writes to the log when a task starts on a worker, and when it leaves the worker.
EVENTS = ["running", "success", "failed", "skipped", "deferred", "up_for_reschedule", "up_for_retry"]


class _Run(NamedTuple):
    dag_id: str
    run_id: str


class DueRuns:
    """Reads the schedule, and remembers the peaks of the last runs of due DAGs."""

    def __init__(self) -> None:
        self._peaks: dict[_Run, Mapping[str, int]] = {}

    def read(self, connection: psycopg.Connection, ahead_seconds: float) -> list[DueRun]:
        """The runs that are due within that time by the database's clock, the next one first.

        The peak of a DAG without a successful run is empty.
        """
        limits = {"late": LATE_SECONDS, "ahead": ahead_seconds, "most": MOST_DAGS}
        due = connection.execute(DUE_DAGS, limits).fetchall()
        if not due:
            self._peaks = {}
            return []
        last = _last_runs(connection, [dag_id for dag_id, _, _ in due], [partitioned for _, _, partitioned in due])
        self._remember(connection, last)
        peaks = self._peaks_by_dag()
        return [
            DueRun(dag_id=dag_id, starts_in_seconds=seconds, peak=peaks.get(dag_id, {})) for dag_id, seconds, _ in due
        ]

    def _remember(self, connection: psycopg.Connection, last: Mapping[_Run, datetime]) -> None:
        """Keep the peaks of these runs only."""
        new = [run for run in last if run not in self._peaks][:MOST_NEW_RUNS]
        known = {run: peak for run, peak in self._peaks.items() if run in last}
        self._peaks = known | (_peaks(connection, new, [last[run] for run in new]) if new else {})

    def _peaks_by_dag(self) -> dict[str, dict[str, int]]:
        """The highest peak of each DAG's last runs, by queue."""
        highest: dict[str, dict[str, int]] = defaultdict(dict)
        for run, peak in self._peaks.items():
            of_dag = highest[run.dag_id]
            for queue, tasks in peak.items():
                of_dag[queue] = max(of_dag.get(queue, 0), tasks)
        return highest


def _last_runs(connection: psycopg.Connection, dags: list[str], partitioned: list[bool]) -> dict[_Run, datetime]:
    bounds = {"dags": dags, "partitioned": partitioned, "seen": RUNS_SEEN, "asked": RUNS_ASKED}
    rows = connection.execute(LAST_RUNS, bounds).fetchall()
    return {_Run(dag_id, run_id): start for dag_id, run_id, start in rows}


def _peaks(
    connection: psycopg.Connection, runs: Sequence[_Run], starts: Sequence[datetime]
) -> dict[_Run, dict[str, int]]:
    """The peak of each run, by queue; empty for a run without tasks."""
    bounds = {
        "dags": [run.dag_id for run in runs],
        "runs": [run.run_id for run in runs],
        "starts": list(starts),
        "first": FIRST_SECONDS,
        "most": MOST_STRETCHES_OF_A_RUN,
        "events": EVENTS,
    }
    intervals: dict[_Run, dict[str, list[tuple[float, float]]]] = {run: defaultdict(list) for run in runs}
    for dag_id, run_id, queue, began, ended in connection.execute(STRETCHES, bounds):
        intervals[_Run(dag_id, run_id)][queue].append((began, ended))
    return {
        run: {queue: peak_concurrency(tasks) for queue, tasks in by_queue.items()}
        for run, by_queue in intervals.items()
    }
