"""What a task can do with all that it finds on its worker: its own work, and nothing of the masters'."""

from __future__ import annotations

import ast
import shlex

import pytest

from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.workload import Workload, describe
from tests.cluster.worker_pools import WORKER, set_workers

MASTERS_SECRETS = (
    "database-dsn",
    "fernet-key",
    "jwt-secret-key",
    "flask-secret-key",
    "admin-password",
    "database-admin",
)
CONNECTION = "connections/burglar"
MASTERS_VARIABLES = (
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "FLASK_SECRET_KEY",
)


# Puts into every row of Celery's results, where Celery keeps a pickle, one that runs a command when it is read.
PLANT = """
import os, pickle, psycopg2

class Bait:
    def __reduce__(self):
        return os.system, ("touch /var/lib/airflow/bait-taken",)

backend = os.environ["AIRFLOW__CELERY__RESULT_BACKEND"].removeprefix("db+").replace("+psycopg2", "")
with psycopg2.connect(backend) as connection, connection.cursor() as cursor:
    cursor.execute("UPDATE celery_taskmeta SET result = %s", (pickle.dumps(Bait()),))
    print(cursor.rowcount)
"""
# Two ways to stop every worker, if workers accepted them: a command, and a message that Celery cannot read.
SPOIL = """
import os, celery, redis

url = os.environ["AIRFLOW__CELERY__BROKER_URL"]
redis.Redis.from_url(url).lpush("default", "no message")
celery.Celery(broker=url).control.shutdown()
"""
DROPPED = "Dropped a message from default that is not Airflow's"
AS_AIRFLOW = "set -a; . /etc/airflow/airflow.env; . /run/airflow/secrets.env; exec /opt/airflow/venv/bin/python -c"


@pytest.fixture(scope="module")
def doors(cluster: Cluster, api: AirflowApi) -> dict[str, str]:
    """How each door answered a task that tried it, from inside a run."""
    set_workers(cluster, default=1)  # none leaves while the tests look at it
    names = cluster.recording.exports["secrets"]
    buckets = cluster.recording.exports["buckets"]
    conf = {
        "secrets": [*(names[key] for key in names), f"{cluster.name}/{CONNECTION}"],
        "other group": cluster.recording.exports["autoscalingGroups"]["workerPools"]["heavy"],
        "buckets": {"task-logs": buckets["taskLogs"], "dags": buckets["dags"], "artifacts": buckets["artifacts"]},
    }
    cluster.put_secret(CONNECTION, "http://burglar")
    api.wait_for_dag("burglar")
    run_id = api.trigger("burglar", conf)
    assert api.wait_for_run("burglar", run_id) == "success"
    entry = api.get(f"/api/v2/dags/burglar/dagRuns/{run_id}/taskInstances/try_doors/xcomEntries/return_value")
    return entry["value"] if isinstance(entry["value"], dict) else ast.literal_eval(entry["value"])


def test_what_a_worker_needs_is_open(cluster: Cluster, doors: dict[str, str]) -> None:
    names = cluster.recording.exports["secrets"]
    own = ["own database", "write task logs", names["broker-url"], names["result-backend"], names["api-secret-key"]]
    assert {door: doors[door] for door in own} == dict.fromkeys(own, "OPEN")


def test_airflows_database_is_closed_to_a_worker(doors: dict[str, str]) -> None:
    for door in ("airflow database", "postgres database"):
        assert "permission denied for database" in doors[door], doors


def test_the_masters_secrets_are_closed_to_a_worker(cluster: Cluster, doors: dict[str, str]) -> None:
    for key in MASTERS_SECRETS:
        answer = doors[cluster.recording.exports["secrets"][key]]
        assert answer in {"AccessDenied", "AccessDeniedException", "403"}, f"{key}: {answer}"


def test_the_connections_in_secrets_manager_are_closed_to_a_worker(cluster: Cluster, doors: dict[str, str]) -> None:
    answer = doors[f"{cluster.name}/{CONNECTION}"]
    assert answer in {"AccessDenied", "AccessDeniedException", "403"}, answer


def test_the_buckets_of_dags_and_artifacts_are_closed_to_a_worker(doors: dict[str, str]) -> None:
    for door in ("write dags", "write artifacts", "delete task logs"):
        assert doors[door] == "AccessDenied", f"{door}: {doors[door]}"


def test_a_worker_cannot_terminate_workers_of_another_pool(doors: dict[str, str]) -> None:
    for door in ("keep a worker of another pool", "end a worker of another pool"):
        assert doors[door] == "AccessDenied", f"{door}: {doors[door]}"


def test_a_workers_own_environment_holds_no_secret_of_the_masters(cluster: Cluster, doors: dict[str, str]) -> None:
    seen_by_the_task = doors["in the environment"].split(",")
    assert "AIRFLOW__CELERY__BROKER_URL" in seen_by_the_task, "the look itself must work"
    assert not {"AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"} & set(seen_by_the_task)
    for node in cluster.nodes(role="worker"):
        held = node.exec("cat /run/airflow/*.env /etc/airflow/airflow.env").stdout
        assert "AIRFLOW__CELERY__BROKER_URL" in held, "the look itself must work"
        assert [variable for variable in MASTERS_VARIABLES if f"{variable}=" in held] == [], node.name


def test_a_pickle_that_a_worker_writes_into_celerys_results_does_not_run_on_a_master(
    cluster: Cluster, work: Workload
) -> None:
    runs = work.start("default", 1200)
    work.wait_running(runs)
    planted = cluster.nodes(role="worker")[0].exec(f"{AS_AIRFLOW} {shlex.quote(PLANT)}")
    assert planted.returncode == 0, planted.stderr
    assert int(planted.stdout) >= 1, "the scheduler asks for the row of a task until it has ended"
    work.release(runs)
    tasks = work.wait_ended(runs)
    assert {task.state for task in tasks} == {"success"}, describe(tasks)
    took = [node.name for node in cluster.nodes() if node.exec("ls /var/lib/airflow | grep bait-taken").stdout]
    assert took == []


def test_a_task_can_stop_no_worker_through_the_broker(cluster: Cluster, work: Workload) -> None:
    runs = work.start("default", 1200)
    work.wait_running(runs)
    workers = cluster.nodes(pool="default")
    mains = [worker.unit(WORKER, "MainPID") for worker in workers]
    spoiled = workers[0].exec(f"{AS_AIRFLOW} {shlex.quote(SPOIL)}")
    assert spoiled.returncode == 0, spoiled.stderr

    def named() -> bool:
        logs = [worker.journal(WORKER) for worker in workers]
        return all("'shutdown' {} is refused" in log for log in logs) and any(DROPPED in log for log in logs)

    cluster.wait(named, "the workers' logs to name both")
    work.release(runs)
    tasks = work.wait_ended([*runs, *work.start("default", 1)])
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    assert [worker.unit(WORKER, "MainPID") for worker in workers] == mains
