"""A pool at rest has its workers ready when a scheduled run begins: the masters read the schedule."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab import service_log
from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from tests.cluster.conftest import powered_on_at
from tests.cluster.worker_pools import set_workers, sizes

NAME = "scheduled"
TASKS = 8
"""How many tasks the DAG runs at a time."""
SLOTS = 4
"""How many tasks a worker of `heavy` takes at a time."""
LONG, SHORT = 90, 20
"""How long each task of its first and of its second run takes. The masters learn from the first how many tasks run at
the same time, so they have to overlap."""
SECONDS_AHEAD = 60
"""The masters launch workers a boot and 20 s ahead; the rest is for a pass of theirs and a boot that was measured
differently."""
LONGEST_TO_PARSE = timedelta(seconds=80)
"""How long a changed file takes to become a new schedule, on a slow machine."""
TEXT = """
import datetime
import time

from airflow.sdk import dag, task


@dag(
    dag_id="{name}",
    schedule=datetime.timedelta(seconds={interval}),
    start_date=datetime.datetime.fromisoformat("{start}"),
    catchup=True,
    default_args={{"queue": "heavy", "retry_delay": datetime.timedelta(seconds=1)}},
)
def scheduled():
    @task
    def work(number):
        time.sleep({seconds})

    work.expand(number=list(range({tasks})))


scheduled()
"""


class ScheduledDag:
    """Runs once when it is created, and a second time when a test says so."""

    def __init__(self, cluster: Cluster, api: AirflowApi) -> None:
        self._cluster = cluster
        self._api = api
        self._start = datetime.now(UTC).replace(microsecond=0)
        self._put(timedelta(days=1), LONG)
        api.wait_for_dag(NAME)

    def wait_for_first_run(self) -> None:
        """Wait until the run has succeeded."""
        [first] = self._cluster.wait(self._runs, "the first run")
        assert self._api.wait_for_run(NAME, first) == "success"

    def schedule_second_run(self, due: datetime) -> None:
        """Change the DAG's interval so that its next run is due then, and wait until Airflow knows."""
        self._put(due - self._start, SHORT)
        wanted = due.strftime("%Y-%m-%dT%H:%M:%S")
        self._cluster.wait(
            lambda: str(self._api.get(f"/api/v2/dags/{NAME}")["next_dagrun_run_after"]).startswith(wanted),
            "the new schedule to be known",
        )

    def wait_for_second_run(self) -> str:
        """Wait until the run has succeeded; returns its id."""
        self._cluster.wait(lambda: len(self._runs()) == 2, "the second run")
        second = self._runs()[1]
        assert self._api.wait_for_run(NAME, second) == "success"
        return second

    def pause(self) -> None:
        """No further run begins."""
        self._api.request("PATCH", f"/api/v2/dags/{NAME}", {"is_paused": True})

    def _runs(self) -> list[str]:
        found = self._api.get(f"/api/v2/dags/{NAME}/dagRuns?order_by=run_after")
        return [run["dag_run_id"] for run in found["dag_runs"]]

    def _put(self, interval: timedelta, seconds: int) -> None:
        text = TEXT.format(
            name=NAME,
            interval=int(interval.total_seconds()),
            start=self._start.isoformat(),
            seconds=seconds,
            tasks=TASKS,
        )
        self._cluster.put_dag(f"{NAME}.py", text)


@dataclass(frozen=True, kw_only=True)
class Scheduled:
    """A run that was due after another one had shown what it takes.

    Attributes:
        lead: workers are launched at most this long before the run is due.
        ready: when each of the pool's workers was ready, by its address. If its boot took longer than most before it,
            for which the masters do not plan, when it would have been.
    """

    due: datetime
    lead: timedelta
    tasks: list[dict[str, Any]]
    ready: dict[str, datetime]


@pytest.fixture(scope="module")
def scheduled(cluster: Cluster, api: AirflowApi) -> Iterator[Scheduled]:
    """The second run of a DAG whose pool is at rest when the masters learn that it is due."""
    set_workers(cluster, heavy=TASKS // SLOTS)
    scheduled_dag = ScheduledDag(cluster, api)
    scheduled_dag.wait_for_first_run()
    set_workers(cluster, heavy=0)
    before = _boots(cluster).values()
    lead = timedelta(seconds=max(before) + SECONDS_AHEAD)
    due = datetime.now(UTC).replace(microsecond=0) + lead + LONGEST_TO_PARSE
    scheduled_dag.schedule_second_run(due)
    assert datetime.now(UTC) < due - lead, "the schedule became known too late"
    run = scheduled_dag.wait_for_second_run()
    boots = _boots(cluster)
    ready = {
        str(node.instance.address): powered_on_at(node)
        + timedelta(seconds=min(boots[node.name], statistics.median(before)))
        for node in cluster.nodes(pool="heavy")
    }
    yield Scheduled(due=due, lead=lead, tasks=api.task_instances(NAME, run), ready=ready)
    scheduled_dag.pause()


def _boots(cluster: Cluster) -> dict[str, float]:
    """How many seconds each worker of `heavy` took to boot, by its name; also of those that are gone."""
    return {boot.node: boot.ready for boot in cluster.groups.boots() if boot.node.startswith("heavy-")}


def test_the_workers_are_launched_before_the_run_is_due(cluster: Cluster, scheduled: Scheduled) -> None:
    raised = [
        event
        for event in service_log.decisions(cluster, "heavy")
        if event.fields["to"] > event.fields["from"] and scheduled.due - scheduled.lead < event.at < scheduled.due
    ]
    assert [(event.fields["from"], event.fields["to"], event.fields["expected"]) for event in raised] == [
        (0, TASKS // SLOTS, TASKS)
    ]
    assert sizes(cluster, "heavy")["DesiredCapacity"] <= TASKS // SLOTS, "nothing was launched a second time"


def test_no_task_of_the_run_waits_for_a_boot(scheduled: Scheduled) -> None:
    queued = [(task["hostname"], datetime.fromisoformat(task["queued_when"])) for task in scheduled.tasks]
    assert len(queued) == TASKS
    assert [address for address, at in queued if scheduled.ready[address] > at] == [], (queued, scheduled.ready)
