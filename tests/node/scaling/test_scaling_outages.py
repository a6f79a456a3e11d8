"""The controller during outages, refusals and late responses of the services that it uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import boto3
import pytest
from airflow_node.worker_registry import WorkerRegistry
from botocore.exceptions import ClientError, ReadTimeoutError
from psycopg import sql

from tests.node import redis_server
from tests.node.metadata import Metadata
from tests.node.programs import module
from tests.node.scaling import fake_groups
from tests.node.scaling.master import GROUP, Master

launch_groups = module("scaling.launch_groups")
worker_registry = module("airflow_node.worker_registry")


@pytest.fixture
def own_broker() -> Iterator[redis_server.Server]:
    """A broker that the test may stop."""
    with redis_server.running() as running:
        yield running


@pytest.fixture
def master(aws: boto3.Session, metadata: Metadata, own_broker: redis_server.Server) -> Iterator[Master]:
    fake_groups.create(aws, GROUP, minimum=0, maximum=8, desired=0)
    registry = WorkerRegistry.connect(own_broker.url, timeout_seconds=2)
    found = Master(metadata, registry)
    yield found
    found.database.close()
    registry.close()


def close_database(metadata: Metadata, *, allow: bool) -> None:
    """Refuse connections and end the open ones, or accept connections again."""
    with metadata.server.superuser() as root:
        statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        root.execute(statement.format(sql.Identifier(metadata.name), sql.SQL("true" if allow else "false")))
        root.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [metadata.name])


def test_nothing_is_decided_during_an_outage_of_the_database_and_passes_continue_after_it(
    aws: boto3.Session, master: Master
):
    master.metadata.add_tasks(9, "queued")
    close_database(master.metadata, allow=False)
    master.do_passes(5)
    assert fake_groups.desired(aws, GROUP) == 0
    assert len(master.events("the database failed")) == 1
    assert master.metric("airflow_scaling_errors_total", what="the database") == 5
    close_database(master.metadata, allow=True)
    master.do_passes(2)
    assert fake_groups.desired(aws, GROUP) == 3
    (back,) = master.events("the database works again")
    assert back["after_seconds"] == 50


def test_a_pool_grows_during_an_outage_of_the_broker(
    aws: boto3.Session, master: Master, own_broker: redis_server.Server
):
    own_broker.stop()
    master.metadata.add_tasks(9, "queued")
    master.do_passes(3)
    assert fake_groups.desired(aws, GROUP) == 3
    assert len(master.events("the worker registry failed")) == 1
    own_broker.start()
    master.do_passes()
    assert len(master.events("the worker registry works again")) == 1


def test_a_broker_that_fails_in_the_middle_of_a_pass_costs_one_time_out(
    master: Master, monkeypatch: pytest.MonkeyPatch
):
    calls = []

    def refuse(*_: object) -> None:
        calls.append(1)
        raise worker_registry.redis.TimeoutError("Timeout reading from socket")

    monkeypatch.setattr(WorkerRegistry, "publish_group", refuse)
    pools = (*master.pools, replace(master.pools[0], name="another"))
    two_pools = Master(master.metadata, master.registry, pools=pools)
    two_pools.do_passes()
    two_pools.database.close()
    assert len(calls) == 1


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "DescribeAutoScalingGroups"),
        ClientError({"Error": {"Code": "AccessDenied", "Message": "not allowed"}}, "DescribeAutoScalingGroups"),
        ReadTimeoutError(endpoint_url="https://autoscaling.eu-west-1.amazonaws.com/"),
    ],
    ids=["throttled", "refused", "late"],
)
def test_auto_scaling_that_does_not_answer_costs_one_line(
    aws: boto3.Session, master: Master, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    master.metadata.add_tasks(9, "queued")
    with monkeypatch.context() as broken:

        def fail(*_: object) -> None:
            raise error

        broken.setattr("botocore.client.BaseClient._make_api_call", fail)
        master.do_passes(3)
    (line,) = master.events("Auto Scaling failed")
    assert line["error"].startswith("DescribeAutoScalingGroups: ")
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 3
    assert len(master.events("Auto Scaling works again")) == 1


def test_a_raise_that_is_refused_is_tried_again(aws: boto3.Session, master: Master, monkeypatch: pytest.MonkeyPatch):
    def refuse(_groups: object, name: str, desired: int) -> None:
        raise launch_groups.AutoScalingError(f"SetDesiredCapacity of {name} to {desired}: Throttling")

    master.metadata.add_tasks(9, "queued")
    with monkeypatch.context() as broken:
        broken.setattr(launch_groups.LaunchGroups, "raise_to", refuse)
        master.do_passes(3)
    assert len(master.events(f"raising {GROUP} failed")) == 1
    assert [line["to"] for line in master.events("decision")] == [0], (
        "the log has the actual capacity, not the requested one"
    )
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 3


def test_what_an_operator_raises_during_a_pass_is_not_lowered(
    aws: boto3.Session, master: Master, monkeypatch: pytest.MonkeyPatch
):
    demand = module("scaling.observation").read_demand

    def read_slowly(connection: object) -> object:
        aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=6)
        return demand(connection)

    monkeypatch.setattr(module("scaling.observation"), "read_demand", read_slowly)
    master.metadata.add_tasks(9, "queued")
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 6
    assert master.metric("airflow_pool_desired_workers", pool="default") == 6


def test_a_pass_that_takes_too_long_asks_for_nothing_more(
    aws: boto3.Session, master: Master, monkeypatch: pytest.MonkeyPatch
):
    def describe_slowly(groups: launch_groups.LaunchGroups, names: list[str]) -> object:
        master.now += 45
        return describe(groups, names)

    describe = launch_groups.LaunchGroups.describe
    monkeypatch.setattr(launch_groups.LaunchGroups, "describe", describe_slowly)
    master.metadata.add_tasks(9, "queued")
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 0, "the lock may be another master's by now"


def test_a_group_that_cannot_launch_is_reported_and_left_alone(
    aws: boto3.Session, master: Master, monkeypatch: pytest.MonkeyPatch
):
    reason = "We currently do not have sufficient m7i.large capacity"
    monkeypatch.setattr(launch_groups.LaunchGroups, "launch_failure", lambda *_: reason)
    describe = launch_groups.LaunchGroups.describe

    def describe_empty(groups: launch_groups.LaunchGroups, names: list[str]) -> dict:
        found = describe(groups, names)
        return {name: replace(group, in_service=frozenset()) for name, group in found.items()}

    monkeypatch.setattr(launch_groups.LaunchGroups, "describe", describe_empty)
    master.metadata.add_tasks(4, "queued")
    master.do_passes(4)
    master.metadata.add_tasks(4, "queued")
    master.do_passes()
    assert fake_groups.desired(aws, GROUP) == 1
    assert master.metric("airflow_pool_launch_failing", pool="default") == 1
    assert reason in master.events("decision")[-1]["launch_failure"]


def test_the_last_worker_is_kept_while_the_others_cannot_be_launched(
    aws: boto3.Session, master: Master, monkeypatch: pytest.MonkeyPatch
):
    describe = launch_groups.LaunchGroups.describe
    monkeypatch.setattr(
        launch_groups.LaunchGroups,
        "describe",
        lambda *of: {name: replace(group, in_service=frozenset({"i-0"})) for name, group in describe(*of).items()},
    )
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=8)
    master.do_passes()
    group = master.registry.group("default")
    assert group is not None
    assert not module("lifecycle.scale_in").may_scale_in(
        state="working", active=0, idle_seconds=9000, limit_seconds=60, group=group
    )


def test_a_slow_pass_does_not_ask_why_launches_fail_and_forgets_no_failure(
    aws: boto3.Session, master: Master, monkeypatch: pytest.MonkeyPatch
):
    asked: list[float] = []

    def explain(*_: object) -> str:
        asked.append(master.now)
        return "no capacity"

    def describe_empty(groups: launch_groups.LaunchGroups, names: list[str]) -> dict:
        master.now += delay
        found = describe(groups, names)
        return {name: replace(group, in_service=frozenset()) for name, group in found.items()}

    describe, delay = launch_groups.LaunchGroups.describe, 0.0
    monkeypatch.setattr(launch_groups.LaunchGroups, "launch_failure", explain)
    monkeypatch.setattr(launch_groups.LaunchGroups, "describe", describe_empty)
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=1)
    master.do_passes(4)
    assert len(asked) == 1
    delay = 45.0
    master.do_passes(3)
    assert len(asked) == 1, "each question may take as long as a call may"
    assert master.metric("airflow_pool_launch_failing", pool="default") == 1


def test_an_unanswered_question_is_no_sign_that_launches_work(
    aws: boto3.Session, master: Master, monkeypatch: pytest.MonkeyPatch
):
    def explain(*_: object) -> str:
        if error:
            raise error
        return "no capacity"

    error: Exception | None = None
    describe = launch_groups.LaunchGroups.describe
    monkeypatch.setattr(launch_groups.LaunchGroups, "launch_failure", explain)
    monkeypatch.setattr(
        launch_groups.LaunchGroups,
        "describe",
        lambda *of: {name: replace(group, in_service=frozenset()) for name, group in describe(*of).items()},
    )
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=1)
    master.do_passes(4)
    error = launch_groups.AutoScalingError("DescribeScalingActivities of pool-default: Throttling")
    master.do_passes(3)
    assert master.metric("airflow_scaling_errors_total", what=f"asking for the launches of {GROUP}") == 1
    assert master.metric("airflow_pool_launch_failing", pool="default") == 1


def test_a_group_that_is_not_there_keeps_no_other_pool_waiting(aws: boto3.Session, master: Master):
    gone = replace(master.pools[0], name="gone", group="pool-gone")
    other = Master(master.metadata, master.registry, pools=(gone, *master.pools))
    master.metadata.add_tasks(1, "queued")
    other.do_passes(2)
    other.database.close()
    assert fake_groups.desired(aws, GROUP) == 1
    assert len(other.events("the group pool-gone failed")) == 1


def test_a_statement_that_never_ends_is_ended(master: Master, monkeypatch: pytest.MonkeyPatch):
    metadata_database = module("scaling.metadata_database")
    monkeypatch.setattr(metadata_database, "STATEMENT_TIMEOUT", 100)
    with master.metadata.connect() as holder:
        holder.autocommit = False
        holder.execute("LOCK TABLE task_instance IN ACCESS EXCLUSIVE MODE")
        master.do_passes()
    (line,) = master.events("the database failed")
    assert "statement timeout" in line["error"]
