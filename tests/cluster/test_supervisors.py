"""Supervising processes are killed or hang: a task's supervisor, Celery's main process, the lifecycle service."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Workload, describe

WORKER, LIFECYCLE = "airflow-worker.service", "airflow-lifecycle.service"
DAEMONS = 3
"""How many processes a task of this kind starts in addition to its own."""
ENDLESS = 600


@dataclass(frozen=True, kw_only=True)
class Story:
    """A task with daemons and its worker, whose lifecycle service hangs from then on."""

    run: str
    node: Node
    hung: str


@pytest.fixture(scope="module")
def story(cluster: Cluster, work: Workload) -> Story:
    cluster.wait_ready()
    run, node = _start_daemons(cluster, work)
    hung = _main_pid(node, LIFECYCLE)
    node.exec("kill", "-STOP", hung)
    return Story(run=run, node=node, hung=hung)


def _start_daemons(cluster: Cluster, work: Workload) -> tuple[str, Node]:
    [run] = work.start("default", ENDLESS, kind="daemons", again=1)
    [task] = work.wait_running([run])
    [node] = [node for node in cluster.nodes(pool="default") if str(node.instance.address) == task.address]
    cluster.wait(lambda: _daemons(node) == DAEMONS, "the task's daemons", timeout=30)
    return run, node


def _main_pid(node: Node, unit: str) -> str:
    return node.unit(unit, "MainPID")["MainPID"]


def _daemons(node: Node) -> int:
    return len(node.exec("pgrep", "--full", "--exact", "sleep 86399").stdout.split())


def test_a_killed_supervisor_leaves_nothing_behind_when_its_task_is_tried_again(
    cluster: Cluster, work: Workload, story: Story
) -> None:
    state = json.loads(story.node.read("/run/airflow-worker/state.json"))
    [supervisor] = [active["pid"] for active in state["active"] if story.run in active["task"]]
    story.node.exec("kill", "-KILL", str(supervisor))
    # Airflow counts the second try before it sends its message.
    cluster.wait(lambda: work.tasks([story.run])[0].tries == 2, "the second try", timeout=120)
    assert _daemons(story.node) == 0
    assert f"The task supervisor {supervisor} is gone; killed what it left behind: " in story.node.journal(WORKER)
    [task] = work.wait_ended([story.run])
    assert (task.state, task.tries) == ("success", 2), describe([task])


def test_a_task_cannot_fill_run(story: Story) -> None:
    filler = "/run/airflow-worker/filler"
    story.node.exec(f"head --bytes=64M /dev/zero >{filler}", user="airflow")
    size = story.node.exec("stat", "--format=%s", filler).stdout
    story.node.exec("rm", filler)
    assert 0 < int(size) < 8 << 20


def test_a_lifecycle_service_that_hangs_is_started_anew_in_time_for_a_spot_notice(
    cluster: Cluster, story: Story
) -> None:
    def is_back() -> bool:
        return _main_pid(story.node, LIFECYCLE) not in ("0", story.hung)

    cluster.wait(is_back, "another lifecycle service", timeout=60)
    assert story.node.unit(LIFECYCLE, "NRestarts") == {"NRestarts": "1"}
    cluster.wait_ready()


def test_a_killed_main_process_of_celery_leaves_nothing_behind_when_the_worker_is_back(
    cluster: Cluster, api: AirflowApi, work: Workload
) -> None:
    run, node = _start_daemons(cluster, work)
    killed = _main_pid(node, WORKER)
    node.exec("kill", "-KILL", killed)
    cluster.wait(lambda: _main_pid(node, WORKER) not in ("0", killed), "another worker process", timeout=30)
    assert _daemons(node) == 0
    # The retry does not wait until the heartbeat is missed.
    api.request("PATCH", f"/api/v2/dags/daemons_default/dagRuns/{run}", {"state": "failed"})
    cluster.wait_ready()
