"""A drain's time limits in the setting, the unit and the hook: each is longer than the one before."""

from __future__ import annotations

import configparser
import runpy
from functools import cache

import pytest

from engine.program import deploy
from engine.recording import Recording
from node import systemd_dropins
from node.environment import ENVIRONMENT_FILE
from node.naming import TERMINATING_HOOK
from node.roles import worker_group
from node.user_data import decode
from tests.node.environment_file import parse
from tests.stack_file import ROOT, changed
from tests.stack_queries import HOOK, TEMPLATE

# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LifecycleHook.html: GlobalTimeout
HEARTBEATS, LONGEST_SECONDS = 100, 48 * 3600
# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutLifecycleHook.html: HeartbeatTimeout
SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT = 30, 7200

limits = pytest.mark.parametrize("hours", [1, 12, 24, 45, 47])


@cache
def program(hours: int) -> Recording:
    config = changed({"airflow:workerPools.heavy.drainLimitHours": hours})
    return deploy(lambda: runpy.run_path(str(ROOT / "__main__.py")), config=config)[1]


def files(hours: int) -> dict[str, str]:
    return decode(program(hours).named(TEMPLATE, "pool-heavy-template").inputs["userData"])


def environment(hours: int) -> dict[str, str]:
    return parse(files(hours)[ENVIRONMENT_FILE])


def stop_seconds(hours: int) -> int:
    """How long systemd waits for the worker's unit to stop."""
    drop_in = configparser.ConfigParser()
    drop_in.optionxform = str  # ty: ignore[invalid-assignment] - names in systemd units have capitals
    drop_in.read_string(files(hours)[systemd_dropins.DROP_IN])
    return int(drop_in["Service"]["TimeoutStopSec"])


def heartbeat_timeout(hours: int) -> int:
    """The heartbeat timeout of the hook in the stack."""
    [hook] = [
        hook.inputs
        for hook in program(hours).of_type(HOOK)
        if hook.inputs["name"] == TERMINATING_HOOK
        and hook.inputs["autoscalingGroupName"] == worker_group("heavy").name("airflow-prod")
    ]
    return hook["heartbeatTimeout"]


@limits
def test_a_worker_may_drain_until_the_limit_in_the_stack_file(hours: int):
    assert int(environment(hours)["NODE_DRAIN_LIMIT_SECONDS"]) == hours * 3600


@limits
def test_systemd_waits_longer_than_the_drain(hours: int):
    assert stop_seconds(hours) > int(environment(hours)["NODE_DRAIN_LIMIT_SECONDS"])


@limits
def test_the_hook_waits_longer_than_systemd(hours: int):
    held = min(HEARTBEATS * heartbeat_timeout(hours), LONGEST_SECONDS)
    assert stop_seconds(hours) < held, "the node would be retained in the middle of its drain"
    assert HEARTBEATS * heartbeat_timeout(hours) <= LONGEST_SECONDS, (
        "AWS would end the wait before the last heartbeat's timeout"
    )


@limits
def test_the_node_sends_heartbeats_at_the_interval_that_its_hook_requires(hours: int):
    variables = environment(hours)
    assert int(variables["NODE_HEARTBEAT_SECONDS"]) == heartbeat_timeout(hours)
    assert variables["NODE_TERMINATING_HOOK"] == TERMINATING_HOOK
    assert SHORTEST_HEARTBEAT <= heartbeat_timeout(hours) <= LONGEST_HEARTBEAT
