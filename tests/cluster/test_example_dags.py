"""Airflow's own example DAGs, with their plugins, and a release of very many files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from dags.archive import packed_folder
from dags.bucket import ReleaseBucket
from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.node import Node
from lab.progress import say
from tests.cluster.releases_on_nodes import all_have

PACKAGES = {"core": "airflow/example_dags", "standard": "airflow/providers/standard/example_dags"}
RUN = ("example_bash_operator", "example_custom_weight", "example_dynamic_task_mapping", "example_workday_timetable")
SATURDAY = 5
DAG_PROCESSOR = "airflow-dag-processor.service"
SECONDS_TO_PARSE = 600
"""Sixty files, each in a process of its own, twice, on machines with other work."""
FILES = 3000
MOST_SECONDS = 0.05
SMALL = """
import small_words
from airflow.sdk import dag, task

@dag(schedule=None)
def small():
    @task
    def only(): ...
    only()

small()
"""
MEASURE = """
import importlib, json, statistics, sys, time
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag

def start(version):
    # As a task's process that has just been forked: with no listing of the folder in memory.
    importlib.invalidate_caches()
    sys.path_importer_cache.clear()
    sys.modules.pop("small_words", None)
    path, began = list(sys.path), time.perf_counter()
    bundle = DagBundlesManager().get_bundle(name="dags", version=version)
    bundle.initialize()
    bag = BundleDagBag(dag_folder=str(bundle.path / "small.py"), safe_mode=False, load_op_links=False,
                       bundle_path=bundle.path, bundle_name="dags")
    taken = time.perf_counter() - began
    assert "small" in bag.dags, bag.import_errors
    sys.path[:] = path
    return taken

versions = sys.argv[1:]
first = {version: start(version) for version in versions}
taken = {version: [] for version in versions}
for _ in range(25):
    for version in versions:
        taken[version].append(start(version))
medians = {version: statistics.median(taken[version]) for version in versions}
print("measured", json.dumps({"first": first, "medians": medians}))
"""
WITH_SETTINGS = 'set -a; . /etc/airflow/airflow.env; exec "$0" "$@"'


@pytest.fixture(scope="module")
def examples(cluster: Cluster) -> dict[str, str]:
    """The files of Airflow's example DAGs, as they are on a master, by their paths in a release."""
    [packages] = (cluster.nodes(role="master")[0].disk / "opt/airflow/venv/lib").glob("python3*/site-packages")
    return {
        f"{name}/{file.relative_to(packages / folder)}": file.read_text()
        for name, folder in PACKAGES.items()
        for file in sorted((packages / folder).rglob("*"))
        if file.suffix in (".py", ".sql") and "plugins" not in file.parts and file.name != "__init__.py"
    }


def test_airflows_example_dags_are_imported_and_run_with_their_plugins(
    cluster: Cluster, api: AirflowApi, examples: dict[str, str]
) -> None:
    assert len(examples) > 55
    masters = cluster.nodes(role="master")
    before = {master.name: _restarts(master) for master in masters}
    version = cluster.publish_dags(examples)
    try:
        cluster.wait(lambda: all_have(cluster, version), "both masters to have the examples")
        cluster.wait(lambda: _unparsed(cluster, version) == 0, "every file to be parsed", timeout=SECONDS_TO_PARSE)
        assert cluster.psql("SELECT filename, stacktrace FROM import_error") == []
        plugins = {plugin["name"]: plugin for plugin in api.get("/api/v2/plugins")["plugins"]}
        assert {"workday_timetable_plugin", "decreasing_priority_weight_strategy_plugin"} <= plugins.keys()
        assert api.get("/api/v2/plugins/importErrors")["import_errors"] == []

        for dag in RUN:
            api.wait_for_dag(dag)
        runs = {dag: api.trigger(dag) for dag in RUN}
        for dag, run in runs.items():
            assert api.wait_for_run(dag, run, timeout=600) == "success", api.summary(dag, run)
        assert _next_interval_starts(api, "example_workday_timetable").weekday() < SATURDAY
        assert "Task instance is in running state" in _log(api, "example_bash_operator", runs), "no listener was called"
        assert {master.name: _restarts(master) for master in masters} == before, _last_words(masters)
    finally:
        cluster.publish_dags({}, deleted=examples)


def _unparsed(cluster: Cluster, version: str) -> int:
    """How many DAGs the database does not hold as this release has them; the examples' among them."""
    [[known, behind]] = cluster.psql(
        "SELECT count(*) FILTER (WHERE relative_fileloc LIKE 'core/%' OR relative_fileloc LIKE 'standard/%'),"  # noqa: S608
        f" count(*) FILTER (WHERE NOT is_stale AND bundle_version <> '{version}') FROM dag WHERE bundle_name = 'dags'"
    )
    return behind if known > 60 else -1


def _next_interval_starts(api: AirflowApi, dag: str) -> datetime:
    return datetime.fromisoformat(api.get(f"/api/v2/dags/{dag}")["next_dagrun_logical_date"])


def _log(api: AirflowApi, dag: str, runs: Mapping[str, str]) -> str:
    [task] = [task for task in api.task_instances(dag, runs[dag]) if task["task_id"] == "also_run_this"]
    return api.uploaded_log(dag, runs[dag], task)


def _restarts(master: Node) -> str:
    return master.unit(DAG_PROCESSOR)["NRestarts"]


def _last_words(masters: Sequence[Node]) -> str:
    return "\n".join(
        "\n".join([master.name, *(line for line in master.journal(DAG_PROCESSOR).splitlines() if "Error" in line)])
        for master in masters
    )


def test_three_thousand_files_hardly_slow_the_start_of_a_task(cluster: Cluster) -> None:
    [worker, *_] = cluster.nodes(role="worker")
    versions = [_upload(cluster, number) for number in (0, FILES)]
    measured = _measure(worker, *versions)
    small, large = (measured["medians"][version] for version in versions)
    fetched = measured["first"][versions[1]]
    say(f"start with 2 files {small * 1000:.1f} ms, with {FILES} {large * 1000:.1f} ms; fetched in {fetched:.1f} s")
    assert large - small < MOST_SECONDS


def _upload(cluster: Cluster, number: int) -> str:
    """A release with a DAG and this number of modules beside it, which does not become the current one."""
    bucket = ReleaseBucket(cluster.boto3("s3"), cluster.dags_bucket, "dags")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "small.py").write_text(SMALL)
        Path(directory, "small_words.py").write_text("WORD = 1\n")
        for each in range(number):
            Path(directory, f"module_{each:04}.py").write_text(f"NUMBER = {each}\n" * 20)
        with packed_folder(Path(directory)) as archive:
            archive.packed.seek(0)
            bucket.write_archive(archive.version, archive.packed)
            return archive.version


def _measure(worker: Node, *versions: str) -> dict[str, dict[str, float]]:
    done = worker.exec(
        "bash",
        "-c",
        WITH_SETTINGS,
        "/opt/airflow/venv/bin/python",
        "-c",
        MEASURE,
        *versions,
        user="airflow",
    )
    [line] = [line for line in done.stdout.splitlines() if line.startswith("measured ")] or [done.stderr]
    return json.loads(line.removeprefix("measured "))
