"""Nodes of two releases side by side: while masters and pools are replaced, and after a change of a password."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from psycopg import sql

from lab.aws.lifecycle import IN_SERVICE
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Workload, describe
from tests.cluster.worker_pools import set_minimum, set_workers

VERSION_KEY = "environments/masters-airflow-version"
OLDER = "3.0.0"
API = "airflow-api-server.service"
PASSWORD = "an%other:/?#@"
"""Of the metadata database; the next test files work with it."""


def _published_version(cluster: Cluster) -> str:
    """The Airflow version that the masters have published to the workers; empty before they have."""
    bucket, s3 = cluster.recording.exports["buckets"]["artifacts"], cluster.boto3("s3")
    try:
        return s3.get_object(Bucket=bucket, Key=VERSION_KEY)["Body"].read().decode().strip()
    except s3.exceptions.NoSuchKey:
        return ""


def _publish_version(cluster: Cluster, version: str) -> None:
    bucket = cluster.recording.exports["buckets"]["artifacts"]
    cluster.boto3("s3").put_object(Bucket=bucket, Key=VERSION_KEY, Body=f"{version}\n".encode())


def _let_masters_publish(cluster: Cluster) -> None:
    """As the last master of a refresh does."""
    [master, *_] = cluster.nodes(role="master")
    master.exec("systemctl restart airflow-announce.service")


def _api_processes(cluster: Cluster) -> set[str]:
    """The main process of each master's api-server, and which master's it is."""
    return {f"{master.name} {master.unit(API, 'MainPID')['MainPID']}" for master in cluster.nodes(role="master")}


def _all_answer(cluster: Cluster) -> bool:
    ask = "curl --silent --fail --max-time 5 --output /dev/null http://127.0.0.1:8080/api/v2/monitor/health"
    return all(master.exec(ask).returncode == 0 for master in cluster.nodes(role="master"))


def _all_pass_the_check(cluster: Cluster) -> bool:
    healthy = {target.address for target in cluster.infrastructure.haproxy.target_groups.listing() if target.healthy}
    # A monitor, if the cluster has one, is behind the load balancer as well.
    return healthy >= {master.instance.address for master in cluster.nodes(role="master")}


@pytest.fixture(scope="module")
def held_back(cluster: Cluster) -> Iterator[Node]:
    """A worker that was launched while masters of an older Airflow serve. It boots while the next test runs."""
    set_workers(cluster, heavy=0)
    _publish_version(cluster, OLDER)
    set_minimum(cluster, "heavy", 1)
    [node] = cluster.wait(lambda: cluster.nodes(pool="heavy"), "a new worker")
    yield node
    _let_masters_publish(cluster)  # whichever tests were selected: it would hold back every worker


def test_the_masters_have_published_which_airflow_they_run(cluster: Cluster) -> None:
    [master, *_] = cluster.nodes(role="master")
    [*_, version] = master.exec("/opt/airflow/venv/bin/airflow", "version").stdout.split()
    # Each master does so when it is in service, and repeats a failed attempt after a minute.
    assert cluster.wait(lambda: _published_version(cluster), "the masters to publish it") == version


@pytest.mark.usefixtures("held_back")
def test_masters_take_up_a_database_password_that_another_one_has_set(cluster: Cluster, work: Workload) -> None:
    name = cluster.recording.exports["secrets"]["database-dsn"]
    secrets = cluster.boto3("secretsmanager")
    scheme, _, rest = secrets.get_secret_value(SecretId=name)["SecretString"].partition("://")
    role, place = rest.split(":")[0], rest.rpartition("@")[2]
    dsn = f"{scheme}://{role}:{quote(PASSWORD, safe='')}@{place}"
    running = work.start("default", 1200)
    work.wait_running(running)
    before = _api_processes(cluster)
    secrets.put_secret_value(SecretId=name, SecretString=dsn)
    # As the next master that boots does.
    cluster.psql(sql.SQL("ALTER ROLE airflow PASSWORD {}").format(sql.Literal(PASSWORD)).as_string())
    for master in cluster.nodes(role="master"):
        cluster.wait(
            lambda master=master: quote(PASSWORD, safe="") in master.read("/run/airflow/secrets.env"),
            f"{master.name} to fetch the new password",
        )
    work.release(running)
    [task] = work.wait_ended(running)
    assert (task.state, task.tries) == ("success", 1), describe([task])
    cluster.wait(lambda: not before & _api_processes(cluster), "both api-servers to be restarted")
    # The load balancer counts a restarted master as healthy until its next check.
    cluster.wait(lambda: _all_answer(cluster), "both api-servers to answer")
    cluster.wait(lambda: _all_pass_the_check(cluster), "both masters to pass the load balancer's check")
    [task] = work.wait_ended(work.start("default", 1))
    assert task.state == "success", describe([task])


def test_a_worker_takes_no_tasks_before_the_last_master_with_an_older_airflow_has_gone(
    cluster: Cluster, held_back: Node
) -> None:
    reason = f"masters with Airflow {OLDER} still serve"
    cluster.wait(lambda: reason in held_back.journal("airflow-admission.service"), "the worker to say why")
    assert cluster.lifecycle_state(held_back) == "Pending:Wait"
    assert held_back.unit("airflow-worker.service")["ActiveState"] == "inactive"
    _let_masters_publish(cluster)
    cluster.wait(lambda: cluster.lifecycle_state(held_back) == IN_SERVICE, "the worker to be in service")
