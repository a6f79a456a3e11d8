"""Supervising processes are killed or hang: a task's supervisor, Celery's main process, the lifecycle service."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Workload, describe
from tests.cluster.worker_pools import WORKER

LIFECYCLE = "airflow-lifecycle.service"
DAEMONS = 3
"""How many processes a task of this kind starts in addition to its own."""
ENDLESS = 1200
"""Longer than the tests need its first try to run."""
LONGEST_TO_TRY_AGAIN = 150
"""Below [scheduler] task_instance_heartbeat_timeout, 180 s, after which every lost task is tried again."""
LONGEST_HANG = 90
"""WatchdogSec=45, TimeoutAbortSec=5 and RestartSec=5 of the lifecycle service, and time to start it. The rest of a spot
notice's 120 s is for the drain."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A task with daemons and its worker, whose lifecycle service, the process `hung`, hangs from then on."""

    run: str
    node: Node
    hung: str


@pytest.fixture(scope="module")
def scenario(cluster: Cluster, work: Workload) -> Scenario:
    cluster.wait_ready()
    run, node = _start_daemons(cluster, work)
    hung = _main_pid(node, LIFECYCLE)
    node.exec("kill", "-STOP", hung)
    return Scenario(run=run, node=node, hung=hung)


def _start_daemons(cluster: Cluster, work: Workload) -> tuple[str, Node]:
    [run] = work.start("default", ENDLESS, kind="daemons", again=1)
    [task] = work.wait_running([run])
    [node] = [node for node in cluster.nodes(pool="default") if str(node.instance.address) == task.address]
    cluster.wait(lambda: _daemons(node) == DAEMONS, "the task's daemons")
    return run, node


def _main_pid(node: Node, unit: str) -> str:
    return node.unit(unit, "MainPID")["MainPID"]


def _daemons(node: Node) -> int:
    return len(node.exec("pgrep", "--full", "--exact", "sleep 86399").stdout.split())


def _supervisor(node: Node, run: str) -> str:
    """The process that supervises the run's task; empty before Celery's main process, which writes the file every
    second, has heard from it."""
    state = json.loads(node.read("/run/airflow-worker/state.json"))
    return next((str(active["pid"]) for active in state["active"] if run in active["task"]), "")


def test_a_killed_supervisor_leaves_nothing_behind_when_its_task_is_tried_again(
    cluster: Cluster, work: Workload, scenario: Scenario
) -> None:
    run, node = scenario.run, scenario.node
    supervisor = cluster.wait(lambda: _supervisor(node, run), "the worker to list the task")
    node.exec("kill", "-KILL", supervisor)
    # Airflow counts the second try before it sends its message.
    cluster.wait(lambda: work.tasks([run])[0].tries == 2, "the second try", timeout=LONGEST_TO_TRY_AGAIN)
    assert _daemons(node) == 0
    line = f"The task supervisor {supervisor} is gone; killed what it left behind: "
    cluster.wait(lambda: line in node.journal(WORKER), "the worker's log to say so")
    [task] = work.wait_ended([run])
    assert (task.state, task.tries) == ("success", 2), describe([task])


def test_a_task_cannot_fill_run(scenario: Scenario) -> None:
    filler = "/run/airflow-worker/filler"
    scenario.node.exec(f"head --bytes=64M /dev/zero >{filler}", user="airflow")
    size = scenario.node.exec("stat", "--format=%s", filler).stdout
    scenario.node.exec("rm", filler)
    assert 0 < int(size) < 8 << 20


def test_a_lifecycle_service_that_hangs_is_started_anew_in_time_for_a_spot_notice(
    cluster: Cluster, scenario: Scenario
) -> None:
    def is_back() -> bool:
        return _main_pid(scenario.node, LIFECYCLE) not in ("0", scenario.hung)

    cluster.wait(is_back, "another lifecycle service", timeout=LONGEST_HANG)
    assert scenario.node.unit(LIFECYCLE, "NRestarts") == {"NRestarts": "1"}
    cluster.wait_ready()


def test_a_killed_main_process_of_celery_leaves_nothing_behind_when_the_worker_is_back(
    cluster: Cluster, api: AirflowApi, work: Workload
) -> None:
    run, node = _start_daemons(cluster, work)
    killed = _main_pid(node, WORKER)
    node.exec("kill", "-KILL", killed)
    cluster.wait(lambda: _main_pid(node, WORKER) not in ("0", killed), "another worker process")
    assert _daemons(node) == 0
    # The retry does not wait until the heartbeat is missed.
    api.request("PATCH", f"/api/v2/dags/daemons_default/dagRuns/{run}", {"state": "failed"})
    cluster.wait_ready()
