"""What a DAG author expects of a cluster."""

from __future__ import annotations

from datetime import datetime, timedelta

from lab.airflow_api import AirflowApi, wait_until
from lab.cluster import Cluster
from lab.workload import Workload
from tests.cluster.conftest import FinishedRun

# The masters look every ten seconds. The rest is for a slow machine.
LONGEST_TO_LAUNCH = timedelta(seconds=40)


def test_a_run_with_mapped_and_deferred_tasks_a_connection_a_variable_and_xcom_succeeds(
    everything: FinishedRun,
) -> None:
    assert everything.state == "success"
    assert {task["state"] for task in everything.tasks} == {"success"}
    assert sum(task["task_id"] == "square" for task in everything.tasks) == 12


def test_a_master_asks_secrets_manager_once_for_what_many_tasks_look_up(
    cluster: Cluster, everything: FinishedRun
) -> None:
    lookups = sum(task["task_id"] == "square" for task in everything.tasks)
    api_servers = sum(int(master.exec("nproc").stdout) for master in cluster.nodes(role="master"))
    assert 1 <= cluster.reads_of_secret("connections/secret_connection") <= min(api_servers, lookups - 1)
    assert 1 <= cluster.reads_of_secret("variables/secret/word") <= api_servers


def test_a_pool_without_a_worker_gets_one_as_soon_as_a_task_is_queued_for_it(everything: FinishedRun) -> None:
    [total] = [task for task in everything.tasks if task["task_id"] == "total"]
    asked = everything.launches[total["hostname"]] - datetime.fromisoformat(total["queued_when"])
    assert timedelta(0) < asked < LONGEST_TO_LAUNCH


def test_a_later_node_unpacks_what_the_first_ones_had_to_install(everything: FinishedRun) -> None:
    [later] = [address for address, pool in everything.workers.items() if pool == "heavy"]
    assert "is unpacked from s3://" in everything.installations[later], everything.installations[later]


def test_every_worker_has_its_share_of_the_tasks(everything: FinishedRun) -> None:
    shared = {task["hostname"] for task in everything.tasks if task["task_id"] in {"square", "total"}}
    assert shared == set(everything.workers)


def test_a_queue_is_served_by_its_pool_alone(everything: FinishedRun) -> None:
    for pool, tasks in {"heavy": {"total"}, "default": {"square", "settings"}}.items():
        addresses = {task["hostname"] for task in everything.tasks if task["task_id"] in tasks}
        assert {everything.workers[address] for address in addresses} == {pool}


def test_a_task_finds_what_the_start_script_of_its_pool_has_left(api: AirflowApi, everything: FinishedRun) -> None:
    [total] = [task for task in everything.tasks if task["task_id"] == "total"]
    log = api.uploaded_log(everything.dag_id, everything.run_id, total)
    assert "the start script of heavy ran as root" in log, log


def test_the_log_of_a_running_task_is_readable_while_it_runs(api: AirflowApi, work: Workload) -> None:
    [run] = work.start("default", 1200)
    work.wait_running([run])
    dag = "python_default"

    def it_speaks() -> bool:
        [task] = api.task_instances(dag, run)
        assert task["state"] == "running", task
        return "at work for 1200 s" in api.log(dag, run, task)

    wait_until(it_speaks, 60, "the log of a running task", lambda: api.summary(dag, run))
    work.release([run])
    work.wait_ended([run])


def test_a_long_log_shows_its_end_and_an_xcom_that_is_too_large_fails_its_task_at_once(api: AirflowApi) -> None:
    """In a run with the longest name that Airflow takes."""
    api.wait_for_dag("limits")
    run = api.trigger("limits", run_id="r" * 250)
    api.wait_for_run("limits", run)
    tasks = {task["task_id"]: task for task in api.task_instances("limits", run)}
    assert {name: (task["state"], task["try_number"]) for name, task in tasks.items()} == {
        "talkative": ("success", 1),
        "too_large": ("failed", 1),
    }
    assert "XComs larger than 10.0 MiB are refused" in api.uploaded_log("limits", run, tasks["too_large"])
    log = api.uploaded_log("limits", run, tasks["talkative"])
    assert "MiB of this log are not shown. The whole log: aws s3 cp" in log
    assert "line 19999 " in log
    assert "line 0 " not in log
