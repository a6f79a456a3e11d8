"""A pool at rest has its workers ready when a scheduled run begins: the masters read the schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab import service_log
from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from tests.cluster.conftest import set_minimum, sizes
from tests.cluster.scheduled_dag import NAME, TASKS, ScheduledDag
from tests.cluster.stuck_worker import StuckWorker

SLOTS = 4
"""How many tasks a worker of `heavy` takes at a time."""
LONGEST_LEAD = timedelta(seconds=90)
"""A boot, and some seconds. Idle workers stay from then on."""
LONGEST_TO_PARSE = timedelta(seconds=40)
"""How long a changed file takes to become a new schedule."""
LONGEST_START = timedelta(seconds=15)
"""Of eight tasks at a time on a small machine. A boot takes longer."""


@dataclass(frozen=True, kw_only=True)
class Scheduled:
    """A run that was due after another one had shown what it takes."""

    due: datetime
    tasks: list[dict[str, Any]]


@pytest.fixture(scope="module")
def scheduled(cluster: Cluster, api: AirflowApi, scheduled_dag: ScheduledDag, stuck_worker: StuckWorker) -> Scheduled:
    """The second run of a DAG whose pool is at rest when the masters learn that it is due.

    The other pool has nothing to do meanwhile, so what `test_stuck_worker.py` needs passes there.
    """
    del stuck_worker
    set_minimum(cluster, "heavy", 0)
    cluster.wait(lambda: not cluster.nodes(pool="heavy"), "the pool to be at rest", timeout=150)
    due = datetime.now(UTC).replace(microsecond=0) + LONGEST_LEAD + LONGEST_TO_PARSE
    scheduled_dag.schedule_second_run(due)
    assert datetime.now(UTC) < due - LONGEST_LEAD, "the schedule became known too late"
    run = scheduled_dag.wait_for_second_run()
    return Scheduled(due=due, tasks=api.task_instances(NAME, run))


def test_the_workers_are_launched_before_the_run_is_due(cluster: Cluster, scheduled: Scheduled) -> None:
    raised = [
        event
        for event in service_log.decisions(cluster, "heavy")
        if event.fields["to"] > event.fields["from"] and scheduled.due - LONGEST_LEAD < event.at < scheduled.due
    ]
    assert [(event.fields["from"], event.fields["to"], event.fields["expected"]) for event in raised] == [
        (0, TASKS // SLOTS, TASKS)
    ]
    assert sizes(cluster, "heavy")["DesiredCapacity"] <= TASKS // SLOTS, "nothing was launched a second time"


def test_no_task_of_the_run_waits_for_a_boot(scheduled: Scheduled) -> None:
    waits = [_moment(task["start_date"]) - _moment(task["queued_when"]) for task in scheduled.tasks]
    assert len(waits) == TASKS
    assert max(waits) < LONGEST_START, waits


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
