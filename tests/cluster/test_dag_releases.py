"""What DAG authors rely on: a run keeps its release, and the database never goes back to an older one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.progress import say
from lab.releases import read_status
from lab.workload import Workload
from tests.cluster.releases_on_nodes import all_have, current, versions
from tests.cluster.worker_pools import set_workers

SECONDS_TO_FETCH = 60
"""Each master looks every 5 s. The rest is for its loop, the download, and a loaded machine."""
SECONDS_TO_PARSE = 180
"""Airflow imports itself for each file, which takes many seconds on a loaded machine."""
PUBLICATIONS, PERIOD_SECONDS = 20, 3
OUTAGE_SECONDS = 60
WORK_SECONDS = 3600
"""Longer than the outage, on any machine. The task is released after that."""

PINNED = """
from airflow.sdk import Variable, dag, task

@dag(schedule=None)
def pinned():
    @task
    def first():
        import time
        while Variable.get("pinned_may_go_on", default="no") != "yes":
            time.sleep(1)

    @task
    def second():
        from pinned_words import WORD
        return "{word} " + WORD

    first() >> second()

pinned()
"""
TRIGGER = """
from airflow.triggers.base import BaseTrigger, TriggerEvent

class OwnTrigger(BaseTrigger):
    def serialize(self):
        return "own_trigger.OwnTrigger", {{}}

    async def run(self):
        from own_words import WORD  # as late as possible
        yield TriggerEvent("{word} " + WORD)
"""
DEFERRED = """
from airflow.sdk import BaseOperator, dag
from own_trigger import OwnTrigger

class Deferring(BaseOperator):
    def execute(self, context):
        self.defer(trigger=OwnTrigger(), method_name="go_on")

    def go_on(self, context, event=None):
        return event

@dag(schedule=None, description="{word}")
def deferred():
    Deferring(task_id="deferring")

deferred()
"""
OF_REPORTS = """
from airflow.sdk import dag, task

@dag(schedule=None)
def of_reports():
    @task
    def only():
        assert __file__.split("/")[-4:-2] == ["reports", "versions"], __file__
    only()

of_reports()
"""
COUNTED = """
from airflow.sdk import dag, task

@dag(schedule=None, description="{number}")
def counted():
    @task
    def only(): ...
    only()

counted()
"""


def test_a_run_ends_on_the_release_it_began_with(cluster: Cluster, api: AirflowApi) -> None:
    api.request("POST", "/api/v2/variables", {"key": "pinned_may_go_on", "value": "no"})
    _publish_words(cluster, "one")
    api.wait_for_dag("pinned")
    old = api.trigger("pinned")
    cluster.wait(lambda: _state(api, old, "first") == "running", "the first task to run")

    second = _publish_words(cluster, "two")
    cluster.wait(lambda: all_have(cluster, second), "both masters to have the second release", timeout=SECONDS_TO_FETCH)
    cluster.wait(lambda: _holds(cluster, "pinned", second), "it to be parsed", timeout=SECONDS_TO_PARSE)
    _status_tells(cluster, second, old)
    api.request("PATCH", "/api/v2/variables/pinned_may_go_on", {"key": "pinned_may_go_on", "value": "yes"})
    assert api.wait_for_run("pinned", old) == "success"
    assert _result(api, "pinned", old, "second") == "one one"

    new = api.trigger("pinned")
    assert api.wait_for_run("pinned", new) == "success"
    assert _result(api, "pinned", new, "second") == "two two"
    assert any(len(versions(worker)) > 1 for worker in cluster.nodes(role="worker")), "no worker had both"


def test_a_release_of_another_team_leaves_ours_as_it_is(cluster: Cluster, api: AirflowApi) -> None:
    ours = cluster.put_dag("counted.py", COUNTED.format(number="ours"))
    cluster.wait(lambda: _holds(cluster, "counted", ours), "our release to be parsed", timeout=SECONDS_TO_PARSE)
    cluster.publish_dags({"same_id.py": COUNTED.format(number="theirs")}, bundle="reports")
    errors = "SELECT stacktrace FROM import_error WHERE bundle_name = 'reports' AND filename = 'same_id.py'"
    cluster.wait(lambda: bool(cluster.psql(errors)), "their DAG to be refused", timeout=SECONDS_TO_PARSE)
    assert "'counted' is taken by counted.py in the bundle 'dags'" in cluster.psql(errors)[0][0]
    assert _parsed(cluster, ours, "ours")

    theirs = cluster.publish_dags({"of_reports.py": OF_REPORTS}, deleted=["same_id.py"], bundle="reports")
    api.wait_for_dag("of_reports")
    assert api.wait_for_run("of_reports", api.trigger("of_reports")) == "success"
    cluster.wait(
        lambda: all_have(cluster, theirs, bundle="reports"), "both masters to have it", timeout=SECONDS_TO_FETCH
    )
    cluster.wait(lambda: not cluster.psql(errors), "the error to be gone", timeout=SECONDS_TO_PARSE)
    assert all_have(cluster, ours)
    assert any(theirs in versions(worker, bundle="reports") for worker in cluster.nodes(role="worker"))
    assert not any(theirs in versions(node) for node in cluster.nodes())


def test_a_release_is_parsed_by_both_masters_within_seconds_and_so_is_the_return_to_an_older_one(
    cluster: Cluster, api: AirflowApi
) -> None:
    old = cluster.put_dag("counted.py", COUNTED.format(number="old"))
    cluster.wait(lambda: all_have(cluster, old), "the old release", timeout=SECONDS_TO_FETCH)
    api.wait_for_dag("counted")

    new = cluster.put_dag("counted.py", COUNTED.format(number="new"))
    say(f"published: {_seconds_until_parsed(cluster, new, 'new'):.1f} s until both masters have it and it is parsed")
    cluster.roll_dags_back(old)
    say(f"rolled back: {_seconds_until_parsed(cluster, old, 'old'):.1f} s")


def test_twenty_publications_in_a_minute_never_take_the_database_back_to_an_older_one(cluster: Cluster) -> None:
    numbers: dict[str, int] = {}
    with _sampled(cluster) as samples:
        for number in range(PUBLICATIONS):
            due = time.monotonic() + PERIOD_SECONDS
            numbers[cluster.put_dag("counted.py", COUNTED.format(number=number))] = number
            time.sleep(max(0, due - time.monotonic()))  # the period is what the test is about
        last = max(numbers, key=lambda version: numbers[version])
        cluster.wait(
            lambda: _parsed(cluster, last, str(PUBLICATIONS - 1)), "the last release", timeout=SECONDS_TO_PARSE
        )
        seen = {master: _refreshes(master) for master in cluster.nodes(role="master")}
        cluster.wait(
            lambda: all(_refreshes(master) >= before + 3 for master, before in seen.items()),
            "both masters to look three times more",
        )
    of_bundle = [numbers[stored] for stored, _, _ in samples if stored in numbers]
    of_dag = [numbers[version] for _, version, _ in samples if version in numbers]
    of_content = [int(text) for _, _, text in samples if text.isdigit()]
    assert of_bundle == sorted(of_bundle)
    assert of_dag == sorted(of_dag)
    assert of_content == sorted(of_content)
    assert len(set(of_bundle)) > 1, "hardly any of them reached the masters"
    mixed = {(version, text) for _, version, text in samples if version in numbers and text != str(numbers[version])}
    assert not mixed, "the content of one release was stored as another's"


def test_a_trigger_in_a_release_runs_as_its_runs_release_has_it(cluster: Cluster, api: AirflowApi) -> None:
    for word in ("one", "two"):
        files = {
            "own_trigger.py": TRIGGER.format(word=word),
            "own_words.py": f"WORD = {word!r}\n",
            "deferred.py": DEFERRED.format(word=word),
        }
        version = cluster.publish_dags(files)
        cluster.wait(
            lambda version=version: _holds(cluster, "deferred", version), "the release", timeout=SECONDS_TO_PARSE
        )
        api.wait_for_dag("deferred")
        run = api.trigger("deferred")
        assert api.wait_for_run("deferred", run) == "success"
        assert _result(api, "deferred", run, "deferring") == f"{word} {word}"


def test_s3_that_refuses_every_node_for_a_minute_costs_no_task(cluster: Cluster, work: Workload) -> None:
    set_workers(cluster, default=1)  # it has the release when the first task runs
    witness = work.start("default", WORK_SECONDS)
    work.wait_running(witness)
    [master, other] = cluster.nodes(role="master")
    release, complaints = current(master), _complaints(master)
    with _refused(cluster):
        began = time.monotonic()
        new = work.start("default", 1)
        work.wait_ended(new)
        cluster.wait(
            lambda: time.monotonic() - began > OUTAGE_SECONDS and _complaints(master) > complaints,
            "the outage to last, and to be noticed",
        )
        assert {current(master), current(other)} == {release}
        work.wait_running(witness)
    version = cluster.put_dag("counted.py", COUNTED.format(number="after"))
    cluster.wait(lambda: all_have(cluster, version), "both masters to have a release again", timeout=SECONDS_TO_FETCH)
    work.release(witness)
    assert {(task.state, task.tries) for task in work.wait_ended([*witness, *new])} == {("success", 1)}


@contextmanager
def _refused(cluster: Cluster) -> Generator[None]:
    """S3 denies everybody what is in the bucket for DAGs."""
    s3, bucket = cluster.boto3("s3"), cluster.dags_bucket
    before = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    policy = json.loads(before)
    arn = f"arn:aws:s3:::{bucket}"
    policy["Statement"].append(
        {
            "Sid": "Outage",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [arn, f"{arn}/*"],
        }
    )
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    try:
        yield
    finally:
        s3.put_bucket_policy(Bucket=bucket, Policy=before)


def _complaints(master: Any) -> int:
    return master.journal("airflow-dag-processor.service").count("stays the current one")


def _status_tells(cluster: Cluster, current_release: str, run: str) -> None:
    """`make dags-status` names the run, its release, and the worker of its task."""
    user, password = cluster.admin()
    login = {"AIRFLOW_USERNAME": user, "AIRFLOW_PASSWORD": password}
    lines = read_status(cluster.boto3("s3"), cluster.dags_bucket, cluster.url, login)
    say("\n".join(["", *lines]))
    [[old]] = cluster.psql(f"SELECT bundle_version FROM dag_run WHERE run_id = '{run}'")  # noqa: S608
    assert lines[0].startswith(f"current  {current_release[:12]}")
    assert f"runs     {old[:12]}  1 running" in lines
    assert any(line.strip().startswith(f"pinned {run}, since ") for line in lines)
    assert any(line.startswith("worker ") and f"{old[:12]} (1 task)" in line for line in lines)


def test_nodes_keep_few_releases(cluster: Cluster) -> None:
    for node in cluster.nodes():
        assert len(versions(node)) <= 12, "ten, the current one, and one in use"


def _publish_words(cluster: Cluster, word: str) -> str:
    return cluster.publish_dags({"pinned.py": PINNED.format(word=word), "pinned_words.py": f"WORD = {word!r}\n"})


def _state(api: AirflowApi, run_id: str, task_id: str) -> str:
    return next(task["state"] for task in api.task_instances("pinned", run_id) if task["task_id"] == task_id)


def _result(api: AirflowApi, dag_id: str, run_id: str, task_id: str) -> str:
    run = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
    return api.get(f"{run}/taskInstances/{task_id}/xcomEntries/return_value")["value"]


def _holds(cluster: Cluster, dag_id: str, version: str) -> bool:
    return cluster.psql(f"SELECT bundle_version FROM dag WHERE dag_id = '{dag_id}'") == [(version,)]  # noqa: S608


def _sample(cluster: Cluster) -> tuple[Any, ...]:
    """The release that the database holds, the one of the DAG, and what was parsed last."""
    [row] = cluster.psql(
        "SELECT b.version, d.bundle_version, d.description FROM dag d JOIN dag_bundle b ON b.name = d.bundle_name"
        " WHERE d.dag_id = 'counted'"
    )
    return row


def _parsed(cluster: Cluster, version: str, description: str) -> bool:
    return all_have(cluster, version) and _sample(cluster) == (version, version, description)


def _seconds_until_parsed(cluster: Cluster, version: str, description: str) -> float:
    began = time.monotonic()
    cluster.wait(
        lambda: all_have(cluster, version),
        f"both masters to have the release ({[current(master) for master in cluster.nodes(role='master')]})",
        timeout=SECONDS_TO_FETCH,
    )
    cluster.wait(lambda: _parsed(cluster, version, description), "the release to be parsed", timeout=SECONDS_TO_PARSE)
    return time.monotonic() - began


def _refreshes(master: Any) -> int:
    return master.journal("airflow-dag-processor.service").count("Refreshing bundle dags")


@contextmanager
def _sampled(cluster: Cluster) -> Generator[list[tuple[Any, ...]]]:
    """What the database holds, several times a second."""
    samples: list[tuple[Any, ...]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            samples.append(_sample(cluster))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        done.set()
        watcher.join()
