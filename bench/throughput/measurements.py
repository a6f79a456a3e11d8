"""Runs tasks and publishes releases, and measures both by what the metadata database says of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.throughput import usage
from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.progress import LabError, say
from node.dag_bundles import DEFAULT_BUNDLE

DAGS = Path(__file__).with_name("dags")
CHAINS = {f"chains_{number:02}": "chains.py" for number in range(50)}
TASKS_OF_CHAINS = 20
LARGEST_MAP = 1000
"""Airflow accepts 1,024 (`core.max_map_length`)."""
SECONDS_PER_TASK = 1.0
"""A batch that takes longer on average than this is given up: something is broken."""
PUBLISHED = '''"""Publication {number}."""

from airflow.sdk import dag, task


@dag(schedule=None)
def published():
    @task
    def work(): ...

    work()


published()
'''


@dataclass(frozen=True, kw_only=True)
class Start:
    """How long a task was queued before it ran, and before it had ended; seconds."""

    running: float
    ended: float


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Many tasks: from the first run's trigger until the last one has ended.

    Attributes:
        retried: tasks that needed more than one try.
        cpu: seconds of processor time, by service; `other` is the rest of this machine, such as the database.
    """

    tasks: int
    seconds: float
    retried: int
    cpu: Mapping[str, float]

    @property
    def per_minute(self) -> float:
        return 60 * self.tasks / self.seconds


class Bench:
    """The measurements on one cluster."""

    def __init__(self, cluster: Cluster, api: AirflowApi) -> None:
        self._cluster, self._api = cluster, api

    def starts(self, number: int) -> list[Start]:
        """Single tasks, one after the other."""
        return [self._start() for _ in range(number)]

    def _start(self) -> Start:
        run = self._api.trigger("single")
        self._finish([run], 1, timeout=120, interval=0.3)
        [(queued, started, ended)] = self._cluster.psql(
            f"SELECT queued_dttm, start_date, end_date FROM task_instance WHERE run_id = '{run}'"  # noqa: S608
        )
        return Start(running=(started - queued).total_seconds(), ended=(ended - queued).total_seconds())

    def mapped(self, tasks: int, *, follow: Callable[[int], None] = lambda _: None) -> Batch:
        """Mapped tasks, as few runs as Airflow allows, all started at once."""
        sizes = [min(LARGEST_MAP, tasks - first) for first in range(0, tasks, LARGEST_MAP)]
        return self._batch([("mapped", {"tasks": size}) for size in sizes], tasks + len(sizes), follow)

    def chains(self) -> Batch:
        """A run of each of the DAGs with chains, all started at once."""
        return self._batch([(dag, {}) for dag in CHAINS], len(CHAINS) * TASKS_OF_CHAINS, lambda _: None)

    def _batch(self, runs: Sequence[tuple[str, Mapping[str, Any]]], tasks: int, follow: Callable[[int], None]) -> Batch:
        before, machine = usage.read(self._cluster), usage.machine_seconds()
        names = [self._api.trigger(dag, conf) for dag, conf in runs]
        self._finish(names, tasks, timeout=120 + tasks * SECONDS_PER_TASK, interval=2, follow=follow)
        after = usage.read(self._cluster)
        cpu = {service: after[service].seconds - before[service].seconds for service in after}
        cpu["other"] = usage.machine_seconds() - machine - sum(cpu.values())
        [(seconds, retried)] = self._cluster.psql(
            "SELECT extract(epoch FROM max(t.end_date) - min(r.queued_at))::float,"  # noqa: S608
            " count(*) FILTER (WHERE t.try_number > 1)"
            f" FROM task_instance t JOIN dag_run r USING (dag_id, run_id) WHERE run_id IN ({_listed(names)})"
        )
        batch = Batch(tasks=tasks, seconds=seconds, retried=retried, cpu=cpu)
        say(f"{tasks} tasks in {seconds:.0f} s, {batch.per_minute:.0f} a minute")
        return batch

    def _finish(
        self,
        runs: Iterable[str],
        tasks: int,
        *,
        timeout: float,
        interval: float,
        follow: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Wait until that many tasks of the runs have succeeded; LabError if one has failed."""
        query = (
            "SELECT count(*) FILTER (WHERE state = 'success'), count(*) FILTER (WHERE state IN ('failed',"  # noqa: S608
            f" 'upstream_failed', 'skipped')) FROM task_instance WHERE run_id IN ({_listed(runs)})"
        )

        def done() -> bool:
            [(succeeded, failed)] = self._cluster.psql(query)
            if failed:
                raise LabError(f"{failed} tasks have failed: the lab has no figures of a cluster that loses tasks.")
            follow(succeeded)
            return succeeded == tasks

        self._cluster.wait(done, f"{tasks} tasks", timeout=timeout, interval=interval)

    def publication(self, number: int) -> float:
        """Seconds from the publication of a changed DAG until the database and both masters have the new release."""
        began = time.monotonic()
        version = self._cluster.put_dag("published.py", PUBLISHED.format(number=number))
        return self._await_release(version, "dag_id = 'published'") - began

    def publish(self, files: Mapping[str, str], deleted: Iterable[str] = ()) -> float:
        """The same for all DAGs of a release with these files more, or these files less."""
        began = time.monotonic()
        version = self._cluster.publish_dags(files, deleted)
        return self._await_release(version, "NOT is_stale") - began

    def _await_release(self, version: str, dags: str) -> float:
        query = f"SELECT count(*), count(*) FILTER (WHERE bundle_version = '{version}') FROM dag WHERE {dags}"  # noqa: S608

        def stored() -> bool:
            [(known, new)] = self._cluster.psql(query)
            return known == new > 0 and all(_current(node.disk) == version for node in self._masters)

        self._cluster.wait(stored, f"release {version[:12]} to be in the database", timeout=300, interval=0.2)
        return time.monotonic()

    @property
    def _masters(self) -> list[Any]:
        return self._cluster.nodes(role="master")


def dag_files() -> dict[str, str]:
    """The DAGs of the benchmark, without those of `chains`."""
    return {name: (DAGS / name).read_text() for name in ("single.py", "mapped.py")}


def chain_files() -> dict[str, str]:
    """The DAG files with chains."""
    return {f"{dag}.py": (DAGS / template).read_text() for dag, template in CHAINS.items()}


def _current(disk: Path) -> str | None:
    """The release that a master's dag-processor made its current one last."""
    pointer = disk / "var/lib/airflow/bundles" / DEFAULT_BUNDLE / "current.json"
    return json.loads(pointer.read_text())["version"] if pointer.exists() else None


def _listed(runs: Iterable[str]) -> str:
    """A list in SQL. Airflow has made the names, which need no quoting."""
    return ", ".join(f"'{run}'" for run in runs)
