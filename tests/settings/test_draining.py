"""The interval of a draining worker's heartbeats, and the number of workers while a pool is replaced."""

from __future__ import annotations

import math

import pytest

from aws_catalog import limits
from components.autoscaling_group import MAX_HEALTHY_PERCENT
from settings.draining import GENERATIONS, heartbeat_seconds, most_instances
from tests.node.programs import load

# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutLifecycleHook.html: HeartbeatTimeout
HEARTBEAT_TIMEOUTS = (30, 7_200)
LONGEST_WAIT = limits.HOOK_HOURS * 3600


@pytest.mark.parametrize("hours", range(1, limits.HOOK_HOURS))
def test_the_hook_outlasts_every_drain_limit_that_is_accepted(hours: int):
    heartbeat = heartbeat_seconds(hours * 3600)
    held = heartbeat * limits.HOOK_HEARTBEATS
    assert hours * 3600 + 15 * 60 <= held <= LONGEST_WAIT, "the rest is for the steps after the last task"
    assert HEARTBEAT_TIMEOUTS[0] <= heartbeat <= HEARTBEAT_TIMEOUTS[1]


def test_a_short_failure_of_the_network_does_not_end_a_short_drain():
    assert heartbeat_seconds(3600) == 300


def test_a_longer_heartbeat_is_in_whole_minutes():
    assert [heartbeat_seconds(hours * 3600) for hours in (12, 24, 36)] == [480, 960, 1380]


def test_a_third_generation_waits_for_the_limit_for_which_connections_and_addresses_are_calculated():
    assert load("await-admission").GENERATIONS == GENERATIONS


def test_a_pool_has_addresses_for_the_workers_that_a_third_refresh_launches_before_they_wait():
    for size in (1, 8, 10, 11, 200):
        ahead = math.ceil(size * MAX_HEALTHY_PERCENT / 100) - size
        assert most_instances(size) == GENERATIONS * size + ahead
