"""A DAG with a schedule, from whose first run the masters learn how many tasks it runs at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lab.airflow_api import AirflowApi
from lab.cluster import Cluster

NAME = "scheduled"
TASKS = 8
"""How many tasks it runs at a time."""
LONG, SHORT = 90, 20
"""How long each task of a run takes. Tasks of the first run outlast a boot, so that all of them run at the same time
although a worker has to be launched for some."""
TEXT = """
import datetime
import time

from airflow.sdk import dag, task


@dag(
    dag_id="{name}",
    schedule=datetime.timedelta(seconds={interval}),
    start_date=datetime.datetime.fromisoformat("{start}"),
    catchup=True,
    default_args={{"queue": "heavy"}},
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
        [first] = self._cluster.wait(self._runs, "the first run", timeout=60)
        assert self._api.wait_for_run(NAME, first) == "success"

    def schedule_second_run(self, due: datetime) -> None:
        """Change the DAG's interval so that its next run is due then, and wait until Airflow knows."""
        self._put(due - self._start, SHORT)
        wanted = due.strftime("%Y-%m-%dT%H:%M:%S")
        self._cluster.wait(
            lambda: str(self._api.get(f"/api/v2/dags/{NAME}")["next_dagrun_run_after"]).startswith(wanted),
            "the new schedule to be known",
            timeout=120,
        )

    def wait_for_second_run(self) -> str:
        """Wait until the run has succeeded; returns its id."""
        self._cluster.wait(lambda: len(self._runs()) == 2, "the second run", timeout=240)
        second = self._runs()[1]
        assert self._api.wait_for_run(NAME, second) == "success"
        return second

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
