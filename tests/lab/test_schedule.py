"""A pool at rest has its workers ready when a scheduled run begins: the masters read the schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab import scaling_journal
from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from tests.lab.conftest import set_minimum, sizes

TASKS, SLOTS = 8, 4
"""What the DAG runs at a time, and what a worker of `heavy` takes."""
LEARNING_SECONDS = 360
"""For the first run, which finds no worker, and until its workers have left."""
LONGEST_LEAD = timedelta(seconds=90)
"""A boot, and some seconds. Idle workers stay from then on."""
LONGEST_START = timedelta(seconds=15)
"""Of eight tasks at a time on a small machine. A boot takes longer."""
DAG = """
import datetime
import time

from airflow.sdk import dag, task


@dag(
    dag_id="hourly",
    schedule="{due:%M} * * * *",
    start_date=datetime.datetime.fromisoformat("{due:%Y-%m-%dT%H:%M:%S%z}") - datetime.timedelta(minutes=90),
    catchup=True,
    default_args={{"queue": "heavy"}},
)
def hourly():
    @task
    def work(number):
        time.sleep(45)

    work.expand(number=list(range({tasks})))


hourly()
"""


@dataclass(frozen=True, kw_only=True)
class Scheduled:
    """A run that was due after another one had shown what it takes."""

    due: datetime
    tasks: list[dict[str, Any]]


def _runs(api: AirflowApi) -> list[str]:
    found = api.get("/api/v2/dags/hourly/dagRuns?order_by=run_after")
    return [run["dag_run_id"] for run in found["dag_runs"]]


def _wait_for_rest(cluster: Cluster) -> None:
    cluster.wait(lambda: not cluster.nodes(pool="heavy"), "the pool to be at rest", timeout=150)


@pytest.fixture(scope="module")
def scheduled(cluster: Cluster, api: AirflowApi) -> Scheduled:
    """The second run of an hourly DAG. Its first one is an hour late, and so runs at once."""
    set_minimum(cluster, "heavy", 0)
    _wait_for_rest(cluster)
    due = (datetime.now(UTC) + timedelta(seconds=LEARNING_SECONDS + 60)).replace(second=0, microsecond=0)
    cluster.put_dag("hourly.py", DAG.format(due=due, tasks=TASKS))
    api.wait_for_dag("hourly")
    cluster.wait(lambda: _runs(api), "the first run", timeout=60)
    assert api.wait_for_run("hourly", _runs(api)[0]) == "success"
    _wait_for_rest(cluster)
    assert datetime.now(UTC) < due - LONGEST_LEAD, "the pool was not at rest before the next run"
    cluster.wait(lambda: len(_runs(api)) == 2, "the second run", timeout=LEARNING_SECONDS)
    run = _runs(api)[1]
    assert api.wait_for_run("hourly", run) == "success"
    return Scheduled(due=due, tasks=api.task_instances("hourly", run))


def test_the_workers_are_launched_before_the_run_is_due(cluster: Cluster, scheduled: Scheduled) -> None:
    raised = [
        event
        for event in scaling_journal.decisions(cluster, "heavy")
        if event.facts["to"] > event.facts["from"] and scheduled.due - LONGEST_LEAD < event.at < scheduled.due
    ]
    assert [(event.facts["from"], event.facts["to"], event.facts["expected"]) for event in raised] == [
        (0, TASKS // SLOTS, TASKS)
    ]
    assert sizes(cluster, "heavy")["DesiredCapacity"] <= TASKS // SLOTS, "nothing was launched a second time"


def test_no_task_of_the_run_waits_for_a_boot(scheduled: Scheduled) -> None:
    waits = [_moment(task["start_date"]) - _moment(task["queued_when"]) for task in scheduled.tasks]
    assert len(waits) == TASKS
    assert max(waits) < LONGEST_START, waits


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
