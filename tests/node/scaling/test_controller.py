from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import boto3
import pytest
from airflow_node.worker_registry import WorkerRegistry

from tests.node import redis_server
from tests.node.metadata import Task
from tests.node.programs import module
from tests.node.scaling import fake_groups
from tests.node.scaling.master import GROUP, POOL, Master, put_workers

launch_groups = module("scaling.launch_groups")
metadata_database = module("scaling.metadata_database")
connection_info = module("airflow_node.postgresql").connection_info
worker_registry = module("airflow_node.worker_registry")


def test_a_pool_at_zero_grows_for_its_tasks(aws: boto3.Session, master: Master):
    master.metadata.add_tasks(9, "queued")
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 3
    (decision,) = master.events("decision")
    facts = {name: decision[name] for name in ("pool", "from", "to", "needed", "running", "queued", "expected")}
    assert facts == {"pool": "default", "from": 0, "to": 3, "needed": 3, "running": 0, "queued": 9, "expected": 0}
    assert master.metric("airflow_pool_raises_total", pool="default", why="tasks") == 1
    assert master.metric("airflow_pool_desired_workers", pool="default") == 3
    assert master.metric("airflow_pool_queued_tasks", pool="default") == 9


def test_workers_are_counted_by_state_and_no_forged_state_becomes_a_series(
    aws: boto3.Session, master: Master, registry: WorkerRegistry
):
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=3)
    instances = fake_groups.instances(aws, GROUP)
    put_workers(registry, [1, 1], instances=instances[:2])
    put_workers(registry, [0], state="hibernating", instances=instances[2:])
    registry.record_boot("default", 75.0)
    master.do_passes()
    states = {
        state: master.metric("airflow_pool_workers", pool="default", state=state)
        for state in ("working", "unknown", "draining", "hibernating")
    }
    assert states == {"working": 2, "unknown": 1, "draining": 0, "hibernating": None}
    assert master.metric("airflow_pool_boot_seconds", pool="default") is not None
    put_workers(registry, [1], state="draining", instances=instances[:1])
    master.do_passes()
    assert master.metric("airflow_pool_workers", pool="default", state="working") == 1


def test_a_pool_grows_to_its_maximum_and_no_further(aws: boto3.Session, master: Master):
    master.metadata.add_tasks(500, "queued")
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 8


def test_a_pool_is_never_made_smaller(aws: boto3.Session, master: Master):
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=6)
    master.metadata.add_tasks(1, "queued")
    master.do_passes(20)
    assert fake_groups.desired(aws, GROUP) == 6


@pytest.mark.parametrize("state", ["draining", "hibernating"])
def test_running_tasks_of_a_worker_that_takes_no_more_launch_no_other(
    aws: boto3.Session, master: Master, registry: WorkerRegistry, state: str
):
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=1)
    master.metadata.add_tasks(4, "running")
    master.metadata.add_tasks(4, "queued")
    put_workers(registry, [4], state=state, instances=fake_groups.add_ending(aws, GROUP, 1))
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 1, "one worker for the four that wait; the others end where they are"


def test_a_worker_that_leaves_with_a_last_task_does_not_hold_its_pool_up(
    aws: boto3.Session, master: Master, registry: WorkerRegistry
):
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=1)
    (instance,) = fake_groups.instances(aws, GROUP)
    registry.report(
        worker_registry.Report(instance=instance, pool="default", state="leaving", slots=4, active=1, idle_seconds=0)
    )
    master.metadata.add_tasks(1, "running")
    master.metadata.add_tasks(4, "queued")
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 2, "Auto Scaling counts it until it goes"
    assert master.metric("airflow_pool_raises_total", pool="default", why="tasks") == 1


def test_a_report_takes_no_more_off_the_demand_than_a_worker_can_have(
    aws: boto3.Session, master: Master, registry: WorkerRegistry
):
    master.metadata.add_tasks(12, "running")
    put_workers(registry, [1_000_000], state="draining", instances=fake_groups.add_ending(aws, GROUP, 1))
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 2


def test_a_run_that_is_due_has_its_workers_ready(aws: boto3.Session, master: Master):
    master.metadata.add_dag("hourly", 100)
    master.metadata.add_run("hourly", 1, [Task(1, 60) for _ in range(10)])
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 3
    assert master.metric("airflow_pool_raises_total", pool="default", why="schedule") == 1


def test_a_measured_boot_time_decides_how_far_ahead_that_is(
    aws: boto3.Session, master: Master, registry: WorkerRegistry
):
    master.metadata.add_dag("hourly", 100)
    master.metadata.add_run("hourly", 1, [Task(1, 60) for _ in range(10)])
    registry.record_boot("default", 20)
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 0


def test_a_pool_that_does_not_look_ahead_costs_no_query_of_the_schedule(aws: boto3.Session, master: Master):
    blind = Master(master.metadata, master.registry, pools=(replace(POOL, workers_ahead=0),))
    master.metadata.execute("DROP TABLE dag")
    master.metadata.add_tasks(1, "queued")
    blind.do_passes()
    blind.database.close()
    assert fake_groups.desired(aws, GROUP) == 1
    assert blind.events("the schedule failed") == []


def test_a_schedule_that_cannot_be_read_keeps_nothing_from_growing(aws: boto3.Session, master: Master):
    master.metadata.execute("DROP TABLE dag")
    master.metadata.add_tasks(1, "queued")
    master.do_passes(3)
    assert fake_groups.desired(aws, GROUP) == 1
    assert len(master.events("the schedule failed")) == 1


def test_workers_learn_what_their_group_may_shrink_to(master: Master, registry: WorkerRegistry):
    master.metadata.add_tasks(9, "queued")
    master.do_passes()
    group = registry.group("default")
    assert group is not None
    assert (group.minimum, group.maximum, group.desired) == (3, 8, 3), "no worker leaves that is needed"


def test_a_worker_that_does_not_consume_is_counted_and_another_takes_its_place(
    aws: boto3.Session, master: Master, registry: WorkerRegistry
):
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=1)
    put_workers(registry, [1], state="not-consuming", instances=fake_groups.instances(aws, GROUP))
    master.metadata.add_tasks(1, "running")
    master.metadata.add_tasks(3, "queued")
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 2
    assert master.metric("airflow_pool_not_consuming_workers", pool="default") == 1


def test_a_worker_on_which_tasks_would_fail_is_counted_and_another_takes_its_place_also_when_it_runs_none(
    aws: boto3.Session, master: Master, registry: WorkerRegistry
):
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=1)
    put_workers(registry, [0], state="unavailable", instances=fake_groups.instances(aws, GROUP))
    master.metadata.add_tasks(3, "queued")
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 2
    assert master.metric("airflow_pool_unavailable_workers", pool="default") == 1


def test_surplus_workers_are_cordoned_and_taken_back(aws: boto3.Session, master: Master, registry: WorkerRegistry):
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=3)
    instances = sorted(fake_groups.instances(aws, GROUP))
    master.metadata.add_tasks(4, "running")
    for _ in range(12):
        put_workers(registry, [2, 1, 1], instances=instances)
        master.do_passes()
    cordoned = [instance for instance in instances if registry.is_cordoned("default", instance)]
    assert cordoned == instances[1:]
    assert master.metric("airflow_pool_retired_workers", pool="default") == 2
    put_workers(registry, [2], instances=instances)
    put_workers(registry, [1, 1], state="retired", instances=cordoned)
    master.metadata.add_tasks(8, "queued")
    master.do_passes()
    assert not registry.cordoned("default", instances)
    assert master.events("decision")[-1]["uncordon"] == cordoned
    assert fake_groups.desired(aws, GROUP) == 3


@pytest.fixture
def other(master: Master) -> Iterator[Master]:
    """The cluster's other master."""
    found = Master(master.metadata, master.registry)
    yield found
    found.database.close()


def retire_one_of_two(aws: boto3.Session, masters: list[Master], registry: WorkerRegistry) -> list[str]:
    """Two workers share tasks that one could run, until the first master cordons the second worker."""
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=2)
    instances = sorted(fake_groups.instances(aws, GROUP))
    masters[0].metadata.add_tasks(3, "running")
    for one in masters * 6:
        put_workers(registry, [2, 1], instances=instances)
        one.do_passes()
    put_workers(registry, [2, 1], instances=instances)
    masters[0].do_passes()
    assert registry.cordoned("default", instances) == {instances[1]}
    return instances


def test_another_master_cordons_no_other_worker_before_the_first_one_follows(
    aws: boto3.Session, master: Master, other: Master, registry: WorkerRegistry
):
    instances = retire_one_of_two(aws, [master, other], registry)
    put_workers(registry, [1, 2], instances=instances)
    other.do_passes()
    assert registry.cordoned("default", instances) == {instances[1]}
    assert other.events("decision")[-1]["cordon"] == [instances[1]]


def test_another_master_leaves_an_uncordoned_worker_at_work_before_it_follows(
    aws: boto3.Session, master: Master, other: Master, registry: WorkerRegistry
):
    instances = retire_one_of_two(aws, [master, other], registry)
    put_workers(registry, [2], instances=instances)
    put_workers(registry, [1], state="retired", instances=instances[1:])
    master.metadata.add_tasks(4, "queued")
    master.do_passes()
    assert master.events("decision")[-1]["uncordon"] == [instances[1]]
    other.do_passes()
    # The need may be gone before the report is a new one.
    master.metadata.execute("DELETE FROM task_instance WHERE state = 'queued'")
    other.do_passes()
    assert not registry.cordoned("default", instances)
    assert not any(decision["uncordon"] for decision in other.events("decision"))
    assert other.metric("airflow_pool_retired_workers", pool="default") == 0


@pytest.mark.parametrize("text", ["soon", "1e9", b"\xff"])
def test_what_a_task_writes_among_the_boots_stops_no_pool(
    aws: boto3.Session, master: Master, broker: redis_server.Server, text: str | bytes
):
    master.metadata.add_tasks(9, "queued")
    with broker.client(worker_registry.REGISTRY_DATABASE) as client:
        client.lpush("boots:default", text)
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 3
    assert master.events("the worker registry failed") == []


def test_a_queue_without_a_pool_is_reported_and_not_in_every_pass(master: Master):
    master.metadata.add_tasks(2, "queued", queue="defualt")
    master.do_passes(30)
    assert master.events("no pool consumes this queue") == [
        {"event": "no pool consumes this queue", "queue": "defualt", "queued": 2}
    ]
    assert any(line.startswith("<4>") for line in master.lines), "the journal keeps it as a warning"
    assert master.metric("airflow_unserved_queue_tasks", queue="defualt") == 2
    master.metadata.execute("DELETE FROM task_instance")
    master.do_passes()
    assert master.metric("airflow_unserved_queue_tasks", queue="defualt") is None


def test_a_decision_that_changes_nothing_is_logged_once_a_minute(master: Master):
    master.do_passes(13)
    assert len(master.events("decision")) == 3


def test_two_masters_at_a_time_never_lower_what_one_has_raised(
    aws: boto3.Session, master: Master, monkeypatch: pytest.MonkeyPatch
):
    other = Master(master.metadata, master.registry)
    capacities: list[int] = []
    raise_to = launch_groups.LaunchGroups.raise_to

    def recorded(groups: launch_groups.LaunchGroups, name: str, desired: int) -> int:
        before = fake_groups.desired(aws, GROUP)
        raised = raise_to(groups, name, desired)
        capacities.append(raised - before)
        return raised

    monkeypatch.setattr(launch_groups.LaunchGroups, "raise_to", recorded)

    def do_passes(one: Master) -> None:
        for _ in range(15):
            one.metadata.add_tasks(1, "queued")
            one.do_passes()

    with ThreadPoolExecutor() as threads:
        list(threads.map(do_passes, (master, other)))
    master.do_passes()
    other.database.close()
    assert fake_groups.desired(aws, GROUP) == 8
    assert capacities
    assert min(capacities) > 0


def test_a_master_leaves_the_pass_to_another_that_is_at_one(aws: boto3.Session, master: Master):
    master.metadata.add_tasks(9, "queued")
    other = metadata_database.MetadataDatabase(connection_info(master.metadata.url))
    with other.turn():
        master.do_passes()
    other.close()
    assert fake_groups.desired(aws, GROUP) == 0
    assert master.metric("airflow_scaling_passes_total", outcome="skipped") == 1
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 3
