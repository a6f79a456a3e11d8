"""Machines die. What has to go on goes on, and the groups make the cluster whole again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import pytest

from lab.airflow_api import AirflowApi, wait_until
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Workload, describe
from tests.cluster.conftest import FinishedRun
from tests.cluster.worker_pools import group_of, set_workers, sizes

TRIGGERER, SCHEDULER = "airflow-triggerer.service", "airflow-scheduler.service"
BREAK = f"""
mkdir --parents /run/systemd/system/{TRIGGERER}.d
printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\nRestartSec=1\\n' >/run/systemd/system/{TRIGGERER}.d/90-test.conf
systemctl daemon-reload && systemctl restart {TRIGGERER}
"""
MEND = f"rm -r /run/systemd/system/{TRIGGERER}.d && systemctl daemon-reload && systemctl restart {TRIGGERER}"
HUNG_SECONDS = 120
"""How long a service may be without a heartbeat before it is restarted: see docs/running-masters.md."""
SECONDS_TO_STOP = 60
"""How long it then has to stop by itself before it is killed: see there, too."""

LAST_WORDS = {
    "later": "",
    "settings": "the Connection and the Variables are there",
    "square": "the square of {n} is {nn}",
    "total": "the total is 506",
}
"""What each task of the run prints; the deferred one is a sensor of Airflow's own."""


@pytest.fixture(autouse=True)
def whole(cluster: Cluster) -> None:
    """Each loss hits a cluster that has recovered from the one before."""
    cluster.wait_ready()


def test_a_killed_master_changes_nothing_for_a_running_dag_nor_for_scaling(
    cluster: Cluster, api: AirflowApi, work: Workload
) -> None:
    set_workers(cluster, heavy=1)
    api.wait_for_dag("steady")
    run_id = api.trigger("steady")

    def under_way() -> bool:
        return sum(task["state"] == "success" for task in api.task_instances("steady", run_id)) >= 2

    wait_until(under_way, 300, "two steps to be done", lambda: api.summary("steady", run_id))
    before = sizes(cluster, "heavy")["DesiredCapacity"]
    # More than the pool can take, asked for a moment before the loss: the other master has to see to it.
    demand = work.start("heavy", 20, number=4 * before + 1)
    cluster.nodes(role="master")[0].kill()
    cluster.wait(lambda: sizes(cluster, "heavy")["DesiredCapacity"] > before, "one more worker")
    assert api.wait_for_run("steady", run_id) == "success", api.summary("steady", run_id)
    tries = {task["task_id"]: task["try_number"] for task in api.task_instances("steady", run_id)}
    assert set(tries.values()) == {1}, tries
    tasks = work.wait_ended(demand)
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    cluster.wait_ready()
    assert len(cluster.nodes(role="master")) == 2


def test_logs_outlive_the_nodes_that_wrote_them(cluster: Cluster, api: AirflowApi, everything: FinishedRun) -> None:
    writers = [node for node in cluster.nodes() if str(node.instance.address) in everything.workers]
    for writer in writers:
        cluster.boto3("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId=writer.instance.id, ShouldDecrementDesiredCapacity=False
        )
    cluster.wait(lambda: not set(writers) & set(cluster.nodes()), "the writers to be gone")
    for task in everything.tasks:
        log = api.uploaded_log(everything.dag_id, everything.run_id, task)
        assert LAST_WORDS[task["task_id"]].format(n=task["map_index"], nn=task["map_index"] ** 2) in log, log


@dataclass(frozen=True, kw_only=True)
class Hung:
    """A scheduler that has hung since `since`, by time.monotonic()."""

    master: Node
    main_pid: str
    since: float


@pytest.fixture(scope="module")
def hung(cluster: Cluster) -> Hung:
    """The scheduler of one master hangs. Until that is noticed, there is time for another test."""
    master = cluster.nodes(role="master")[0]
    main_pid = master.unit(SCHEDULER, "MainPID")["MainPID"]
    master.exec(f"systemctl kill --kill-whom=main --signal=STOP {SCHEDULER}")
    return Hung(master=master, main_pid=main_pid, since=time.monotonic())


def test_a_master_whose_triggerer_ends_over_and_over_does_not_come_into_service(cluster: Cluster, hung: Hung) -> None:
    """Its group keeps it waiting, and keeps the old master at work that it should replace."""
    [master] = [node for node in cluster.nodes(role="master") if node != hung.master]
    master.exec(BREAK)
    try:
        cluster.wait(lambda: TRIGGERER in _troubles(master), "the health service to report it")
        master.exec("systemctl start airflow-in-service.service")
        cluster.wait(lambda: int(master.unit(TRIGGERER)["NRestarts"]) >= 10, "ten more ends")
        assert master.unit("airflow-in-service.service")["ActiveState"] == "active", "it waits"
    finally:
        master.exec(MEND)
    cluster.wait(lambda: master.unit("airflow-in-service.service")["ActiveState"] == "inactive", "service")
    assert master.unit("airflow-in-service.service")["Result"] == "success"


def test_a_missing_secret_stops_the_boot_with_its_name_and_the_node_is_replaced(cluster: Cluster) -> None:
    set_workers(cluster, heavy=1)
    secrets = cluster.boto3("secretsmanager")
    name = cluster.recording.exports["secrets"]["result-backend"]
    value = secrets.get_secret_value(SecretId=name)["SecretString"]
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    try:
        failing = _next_node(cluster, "heavy")
        # Read as long as it is there; who cannot log in reads the console.
        cluster.wait(lambda: name in failing.console, "the console to name the secret")
        assert cluster.lifecycle_state(failing) != "InService", "a node that is not ready must not be in service"
        cluster.wait(lambda: failing not in cluster.nodes(), "the failed node to go")
    finally:
        secrets.create_secret(Name=name, SecretString=value)
    [termination] = [one for one in cluster.terminations if one.instance == failing.instance.id]
    assert termination.how == "continue", "a node that never worked has nothing to finish and must not be retained"
    cluster.wait_ready()


def test_a_start_script_that_fails_stops_the_boot_with_its_last_lines_and_the_node_is_replaced(
    cluster: Cluster,
) -> None:
    set_workers(cluster, heavy=1)
    failing = _next_node(cluster, "heavy")
    mark = "touch /etc/start-script-fails"
    cluster.wait(lambda: failing.exec(mark).returncode == 0, "the node to take a command", interval=0.1)
    said = "The start script failed"
    cluster.wait(lambda: said in failing.console, "the console to say so")
    assert "exit code 3; its last lines: the licence server does not answer" in failing.console
    assert failing.unit("airflow-secrets.service")["ActiveState"] == "inactive", "its secrets were not fetched"
    cluster.wait(lambda: failing not in cluster.nodes(), "the failed node to go")
    cluster.wait_ready()


def test_a_scheduler_that_hangs_is_restarted_in_a_stated_time(cluster: Cluster, hung: Hung) -> None:
    def is_back() -> bool:
        unit = hung.master.unit(SCHEDULER, "ActiveState", "MainPID")
        return unit["ActiveState"] == "active" and unit["MainPID"] != hung.main_pid

    def restarts() -> list[str]:
        lines = hung.master.journal("airflow-health.service").splitlines()
        return [line for line in lines if "a service is restarted" in line]

    left = hung.since + HUNG_SECONDS + SECONDS_TO_STOP + 30 - time.monotonic()
    cluster.wait(is_back, "another scheduler", timeout=max(left, 1))
    cluster.wait(restarts, "the log to name the restart")
    [restart] = restarts()
    assert SCHEDULER in restart
    cluster.wait(lambda: not _troubles(hung.master), "all of its services to work")


def _troubles(master: Node) -> str:
    """What is wrong with a master's services, by its own report."""
    state = json.loads(master.read("/run/airflow-health/state.json"))
    return " ".join(f"airflow-{service}.service {trouble}" for service, trouble in state["troubles"].items())


def _next_node(cluster: Cluster, pool: str) -> Node:
    """The node that a pool launches when it is asked for one more."""
    before = cluster.nodes(pool=pool)
    cluster.boto3("autoscaling").set_desired_capacity(
        AutoScalingGroupName=group_of(cluster, pool), DesiredCapacity=sizes(cluster, pool)["DesiredCapacity"] + 1
    )
    [new, *_] = cluster.wait(
        lambda: [node for node in cluster.nodes(pool=pool) if node not in before],
        "the next node",
        interval=0.1,
    )
    return new
