"""Workers go in the midst of their work: terminated by their group, retained, reclaimed by EC2, or lost.

Three workers of `heavy` and one of `default` are busy when it happens to all of them at the same moment. The tests look
at what became of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from lab import execution_log, service_log
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Task, Workload, describe
from node.naming import TERMINATING_HOOK
from tests.cluster.worker_pools import group_of, set_minimum, set_workers

ENDLESS = 3600
"""Tasks end when they are released."""
SPOT_NOTICE = timedelta(seconds=120)
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html"""
HEARTBEAT_TIMEOUT = timedelta(seconds=180)
"""[scheduler] task_instance_heartbeat_timeout"""
SLACK = timedelta(seconds=120)
"""For the scheduler to notice and to deal out anew, and for the start of a task on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What was at work where at the moment when it happened. The tasks `short` end right after it."""

    at: datetime
    asked: Node
    retained: Node
    warned: Node
    killed: Node
    tasks: dict[Node, list[Task]]
    short: frozenset[str]

    def runs(self, *nodes: Node) -> list[str]:
        return [task.run for node in nodes for task in self.tasks[node]]


@pytest.fixture(scope="module")
def scenario(cluster: Cluster, work: Workload) -> Scenario:
    set_workers(cluster, default=1, heavy=3)
    runs = work.start("default", ENDLESS, again=1)
    # Nine long ones and three short ones for three workers with four slots: the short ones come last, and so beside
    # long ones.
    for kind in ("bash", "python", "bash", "python", "bash", "python", "bash", "python", "bash"):
        runs += work.start("heavy", ENDLESS, kind=kind, again=1)
    short = work.start("heavy", ENDLESS, number=3)
    tasks = _by_node(cluster, work.wait_running([*runs, *short]))
    # A worker stays for what has to be tried again, also when the pool looks idle without those that leave.
    set_minimum(cluster, "heavy", 1)
    asked, retained, warned = _cast(tasks, frozenset(short))
    [killed] = [node for node in tasks if node.instance.tags["airflow:pool"] == "default"]
    found = Scenario(
        at=datetime.now(UTC),
        asked=asked,
        retained=retained,
        warned=warned,
        killed=killed,
        tasks=tasks,
        short=frozenset(short),
    )
    _let_it_happen(cluster, found)
    work.release(short)
    return found


def _by_node(cluster: Cluster, tasks: Sequence[Task]) -> dict[Node, list[Task]]:
    nodes = {str(node.instance.address): node for node in cluster.nodes(role="worker")}
    dealt: dict[Node, list[Task]] = {}
    for task in tasks:
        dealt.setdefault(nodes[task.address], []).append(task)
    return dealt


def _cast(tasks: dict[Node, list[Task]], short: frozenset[str]) -> Sequence[Node]:
    """Who is asked to go, who is retained, and who is warned: one with tasks of both lengths."""
    heavy = [node for node in tasks if node.instance.tags["airflow:pool"] == "heavy"]
    assert len(heavy) == 3, f"twelve tasks need three workers: {[node.name for node in heavy]}"
    return sorted(heavy, key=lambda node: sum(task.run in short for task in tasks[node]))


@pytest.fixture(scope="module")
def released(cluster: Cluster, scenario: Scenario, work: Workload) -> None:
    """When EC2 has reclaimed the warned worker, the tasks of the two that drain may end."""
    cluster.wait(lambda: scenario.warned not in cluster.nodes(), "the warned worker to be reclaimed")
    work.release(scenario.runs(scenario.asked, scenario.retained))


def _let_it_happen(cluster: Cluster, scenario: Scenario) -> None:
    scenario.killed.kill()
    cluster.interrupt(scenario.warned, seconds=int(SPOT_NOTICE.total_seconds()))
    autoscaling = cluster.boto3("autoscaling")
    for node, shrinks in ((scenario.asked, True), (scenario.retained, False)):
        autoscaling.terminate_instance_in_auto_scaling_group(
            InstanceId=node.instance.id, ShouldDecrementDesiredCapacity=shrinks
        )
        cluster.wait(lambda node=node: cluster.lifecycle_state(node) == "Terminating:Wait", "the hook")
    autoscaling.complete_lifecycle_action(
        AutoScalingGroupName=group_of(cluster, "heavy"),
        LifecycleHookName=TERMINATING_HOOK,
        LifecycleActionResult="ABANDON",
        InstanceId=scenario.retained.instance.id,
    )


def test_a_leaving_worker_keeps_its_hook_waiting(cluster: Cluster, scenario: Scenario) -> None:
    """Read while its tasks last: its journal goes with it. A hook waits for longer than these tasks without a word."""

    def heartbeats() -> list[object]:
        events = service_log.events(scenario.asked, service_log.LIFECYCLE)
        return [event.fields.get("result") or "accepted" for event in events if event.name == "heartbeat"]

    assert set(cluster.wait(heartbeats, "a heartbeat")) == {"accepted"}


def test_the_log_of_a_warned_worker_names_the_tasks_that_cannot_finish(cluster: Cluster, scenario: Scenario) -> None:
    """Read before EC2 takes the worker, and its journal with it."""

    def said() -> str:
        events = service_log.events(scenario.warned, service_log.LIFECYCLE)
        return next((event.fields["result"] for event in events if event.name == "end-tasks"), "")

    ended = cluster.wait(said, "tasks to be ended", timeout=SPOT_NOTICE.total_seconds(), interval=0.5)
    assert {run for run in scenario.runs(scenario.warned) if run in ended} == set(
        scenario.runs(scenario.warned)
    ) - scenario.short


def test_a_killed_nodes_task_runs_again_elsewhere_within_the_heartbeat_timeout(
    scenario: Scenario, work: Workload
) -> None:
    [task] = work.wait_ended(scenario.runs(scenario.killed))
    assert (task.state, task.tries) == ("success", 2), describe([task])
    assert task.address != scenario.tasks[scenario.killed][0].address
    assert task.started is not None
    assert task.started - scenario.at < HEARTBEAT_TIMEOUT + SLACK, describe([task])


def test_a_warned_worker_finishes_what_it_can_and_the_rest_is_retried_at_once_elsewhere(
    scenario: Scenario, work: Workload
) -> None:
    old = {task.run: task for task in scenario.tasks[scenario.warned]}
    for task in work.wait_ended(list(old)):
        assert task.state == "success", describe([task])
        if task.run in scenario.short:
            assert (task.tries, task.address) == (1, old[task.run].address), describe([task])
        else:
            assert task.tries == 2, describe([task])
            assert task.address != old[task.run].address
            assert task.started is not None
            assert task.started - scenario.at < SPOT_NOTICE + SLACK, "at once, not after a time-out"


@pytest.mark.usefixtures("released")
def test_tasks_of_a_worker_that_is_asked_to_go_succeed_there_on_their_first_try(
    scenario: Scenario, work: Workload
) -> None:
    """A terminated instance waits for its tasks, also when somebody has given its lifecycle action up."""
    tasks = work.wait_ended(scenario.runs(scenario.asked, scenario.retained))
    assert {task.kind for task in tasks} == {"bash", "python"}
    old = {task.run: task.address for node in (scenario.asked, scenario.retained) for task in scenario.tasks[node]}
    for task in tasks:
        assert (task.state, task.tries, task.address) == ("success", 1, old[task.run]), describe([task])


@pytest.mark.usefixtures("released")
def test_a_worker_that_has_finished_leaves(cluster: Cluster, scenario: Scenario, work: Workload) -> None:
    work.wait_ended(scenario.runs(scenario.asked, scenario.retained))
    for node, how in {scenario.asked: "continue", scenario.retained: "retained"}.items():
        cluster.wait(lambda node=node: cluster.lifecycle_state(node) == "gone", f"{node.name} to leave")
        [termination] = [one for one in cluster.terminations if one.instance == node.instance.id]
        assert termination.how == how


def test_a_leaving_worker_takes_no_new_task(scenario: Scenario, work: Workload) -> None:
    """What was tried again ran on none of the workers that were leaving."""
    leaving = {str(node.instance.address) for node in (scenario.asked, scenario.retained, scenario.warned)}
    again = [task for task in work.wait_ended(scenario.runs(scenario.warned, scenario.killed)) if task.tries > 1]
    assert again
    assert not leaving & {task.address for task in again}


@pytest.mark.usefixtures("released")
def test_no_try_was_executed_twice(cluster: Cluster, scenario: Scenario, work: Workload) -> None:
    tasks = work.wait_ended(scenario.runs(*scenario.tasks))
    entries = execution_log.read(cluster.boto3("s3"), cluster.recording.exports["buckets"]["taskLogs"])
    found = {entry: times for entry, times in entries.items() if entry.run_id in {task.run for task in tasks}}
    assert len(found) == sum(task.tries for task in tasks), "the execution log should have each try"
    assert set(found.values()) == {1}, found
