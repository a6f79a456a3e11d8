"""A group of instances, with a fake EC2."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab.aws.lifecycle import IN_SERVICE, LAUNCHING, PENDING_WAIT, RETAINED, TERMINATING, TERMINATING_WAIT, Hook
from lab.aws.scaling_group import (
    SECONDS_BETWEEN_FAILED_LAUNCHES,
    CapacityError,
    Launched,
    RefusedError,
    ScalingGroup,
    Sizes,
)

READY = Hook(name="ready", transition=LAUNCHING, heartbeat_timeout=600, default_result="ABANDON")
DRAINED = Hook(name="drained", transition=TERMINATING, heartbeat_timeout=300, default_result="ABANDON")
ZONES = "ab"


class FakeEc2:
    def __init__(self) -> None:
        self.launched = 0
        self.ended: list[str] = []
        self.spot: list[bool] = []
        self.version = "1"
        self.refusal = ""

    def launch(self, *, spot: bool) -> Launched:
        if self.refusal:
            raise CapacityError(self.refusal)
        self.launched += 1
        self.spot.append(spot)
        return Launched(id=f"i-{self.launched}", zone=ZONES[self.launched % 2], version=self.version)

    def terminate(self, instance: str) -> None:
        self.ended.append(instance)


class Scenario:
    """A group, and its clock."""

    def __init__(
        self, desired: int = 2, *hooks: Hook, minimum: int = 1, maximum: int = 8, retain: bool = False
    ) -> None:
        self.ec2 = FakeEc2()
        self.group = ScalingGroup("pool", self.ec2, Sizes(minimum=minimum, maximum=maximum, desired=desired))
        self.group.rules.hooks, self.group.rules.retain = hooks, retain
        self.now = 0.0
        self.settle()

    def settle(self, seconds: float = 0) -> Scenario:
        self.now += seconds
        self.group.settle(self.now)
        return self

    @property
    def states(self) -> dict[str, str]:
        return {member.id: member.state for member in self.group.members.values()}

    def desire(self, desired: int) -> Scenario:
        self.group.set_desired(self.now, desired)
        return self.settle()

    def terminate(self, instance: str, *, decrement: bool = False) -> Scenario:
        self.group.terminate(self.now, instance, decrement=decrement)
        return self.settle()

    def answer(self, instance: str, hook: Hook, result: str = "CONTINUE") -> Scenario:
        self.group.complete(self.now, hook.name, result, instance=instance, token=None)
        return self.settle()

    def statuses(self) -> Sequence[tuple[str, str]]:
        return [(one.description.split()[0], one.status) for one in self.group.activities.listing()]


def test_a_group_has_its_desired_capacity():
    scenario = Scenario(2)
    assert scenario.states == {"i-1": IN_SERVICE, "i-2": IN_SERVICE}
    assert scenario.desire(4).states.keys() == {"i-1", "i-2", "i-3", "i-4"}


@pytest.mark.parametrize(
    ("desired", "error"),
    [
        (9, "New SetDesiredCapacity value 9 is above max value 8 for the AutoScalingGroup."),
        (0, "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup."),
    ],
)
def test_a_size_outside_of_the_bounds_is_refused(desired: int, error: str):
    with pytest.raises(RefusedError, match=error):
        Scenario().desire(desired)


def test_the_desired_capacity_moves_with_the_bounds():
    scenario = Scenario(2)
    scenario.group.resize(0, minimum=3, maximum=None, desired=None)
    assert len(scenario.settle().states) == 3
    scenario.group.resize(0, minimum=0, maximum=1, desired=None)
    assert len(scenario.settle().states) == 1


def test_a_terminated_instance_is_replaced_at_once_although_its_hook_waits():
    scenario = Scenario(2, DRAINED).terminate("i-1")
    assert scenario.states == {"i-1": TERMINATING_WAIT, "i-2": IN_SERVICE, "i-3": IN_SERVICE}
    assert scenario.ec2.ended == []
    assert scenario.answer("i-1", DRAINED).states == {"i-2": IN_SERVICE, "i-3": IN_SERVICE}
    assert scenario.ec2.ended == ["i-1"]


def test_a_decrement_shrinks_the_group_and_launches_nothing():
    scenario = Scenario(2, DRAINED).terminate("i-1", decrement=True)
    assert scenario.states == {"i-1": TERMINATING_WAIT, "i-2": IN_SERVICE}
    assert scenario.group.sizes.desired == 1


def test_a_decrement_below_the_minimum_is_refused_in_the_words_of_aws():
    scenario = Scenario(2).terminate("i-1", decrement=True)
    with pytest.raises(RefusedError, match=r"desiredSize equals minSize \(1\).*violate group's min size constraint"):
        scenario.terminate("i-2", decrement=True)
    assert scenario.states == {"i-2": IN_SERVICE}
    assert scenario.terminate("i-2").states == {"i-3": IN_SERVICE}


def test_a_decrement_that_repeats_itself_shrinks_once():
    scenario = Scenario(3, DRAINED).terminate("i-1", decrement=True).terminate("i-1", decrement=True)
    assert scenario.group.sizes.desired == 2


def test_an_unknown_instance_cannot_be_terminated():
    with pytest.raises(RefusedError, match="No managed instance found for instance ID: i-9"):
        Scenario().terminate("i-9")


def test_a_pending_instance_can_be_terminated():
    scenario = Scenario(1, READY).terminate("i-1")
    assert scenario.states == {"i-2": PENDING_WAIT}
    assert ("Launching", "Cancelled") in scenario.statuses()


def test_a_retained_instance_is_not_counted_and_ends_when_it_is_terminated_again():
    scenario = Scenario(1, DRAINED, retain=True).terminate("i-1").answer("i-1", DRAINED, "ABANDON")
    assert scenario.states == {"i-1": RETAINED, "i-2": IN_SERVICE}
    assert scenario.terminate("i-1").states == {"i-2": IN_SERVICE}
    assert scenario.ec2.ended == ["i-1"]


def test_a_result_can_name_its_instance_by_the_token():
    scenario = Scenario(1, READY)
    [action] = scenario.group.members["i-1"]._actions
    scenario.group.heartbeat(0, "ready", instance=None, token=action.token)
    scenario.group.complete(0, "ready", "CONTINUE", instance=None, token=action.token)
    assert scenario.states == {"i-1": IN_SERVICE}


@pytest.mark.parametrize(
    ("instance", "token", "error"),
    [
        ("i-1", None, "No active Lifecycle Action found with instance ID i-1"),
        ("i-9", None, "No active Lifecycle Action found with instance ID i-9"),
        (None, "0815", "No active Lifecycle Action found with token 0815"),
    ],
)
def test_results_and_heartbeats_without_an_action_are_refused_as_on_aws(
    instance: str | None, token: str | None, error: str
):
    scenario = Scenario(1, DRAINED)
    with pytest.raises(RefusedError, match=error):
        scenario.group.complete(0, "drained", "CONTINUE", instance=instance, token=token)
    with pytest.raises(RefusedError, match=error):
        scenario.group.heartbeat(0, "drained", instance=instance, token=token)


def test_an_abandoned_launch_is_retried_with_another_instance():
    scenario = Scenario(1, READY, DRAINED).answer("i-1", READY, "ABANDON")
    assert scenario.states == {"i-1": TERMINATING_WAIT, "i-2": PENDING_WAIT}
    [launch] = [one for one in scenario.group.activities.listing() if one.instance == "i-1" and one.finished]
    assert (launch.status, "was abandoned" in launch.message) == ("Cancelled", True)


def test_an_unhealthy_instance_goes_through_its_hook_and_is_replaced_at_once():
    scenario = Scenario(1, DRAINED)
    scenario.group.members["i-1"].healthy = False
    assert scenario.settle().states == {"i-1": TERMINATING_WAIT, "i-2": IN_SERVICE}


def test_an_unhealthy_instance_stays_while_its_replacement_is_suspended():
    scenario = Scenario(1)
    scenario.group.replaces_unhealthy = False
    scenario.group.members["i-1"].healthy = False
    assert scenario.settle().states == {"i-1": IN_SERVICE}


def test_an_instance_that_ec2_ended_is_replaced_without_waiting_for_its_hook():
    scenario = Scenario(1, DRAINED)
    scenario.group.ended(0, "i-1")
    assert scenario.settle().states == {"i-2": IN_SERVICE}
    assert scenario.ec2.ended == [], "it has ended already"
    scenario.terminate("i-2").group.ended(0, "i-2")
    assert scenario.settle().states == {"i-3": IN_SERVICE}


def test_a_group_that_shrinks_terminates_its_surplus_through_the_hook():
    scenario = Scenario(4, DRAINED).desire(2)
    assert sorted(scenario.states.values()) == [IN_SERVICE, IN_SERVICE, TERMINATING_WAIT, TERMINATING_WAIT]
    assert scenario.settle(300).states.keys() == {"i-3", "i-4"}


def test_a_group_shrinks_by_the_fullest_zone_then_the_oldest_template_then_the_oldest_instance():
    scenario = Scenario(2)
    scenario.group.termination_policies = ["OldestLaunchTemplate", "OldestInstance"]
    scenario.ec2.version = "2"
    assert scenario.desire(3).states.keys() == {"i-1", "i-2", "i-3"}  # zones b, a, b
    assert scenario.desire(2).states.keys() == {"i-2", "i-3"}
    assert scenario.desire(1).states.keys() == {"i-3"}, "the other one is of an older template"


def test_protected_instances_are_not_terminated_when_a_group_shrinks():
    scenario = Scenario(2)
    scenario.group.members["i-1"].protected = True
    assert scenario.desire(1).states.keys() == {"i-1"}


def test_failed_launches_are_recorded_and_retried_at_intervals():
    scenario = Scenario(1)
    scenario.ec2.refusal = "We currently do not have sufficient m7i.large capacity."
    scenario.desire(2).settle(1).settle(1)
    [failed] = [one for one in scenario.group.activities.listing() if one.status == "Failed"]
    assert failed.message == scenario.ec2.refusal
    scenario.ec2.refusal = ""
    assert len(scenario.settle(SECONDS_BETWEEN_FAILED_LAUNCHES).states) == 2


def test_a_new_size_is_tried_at_once_after_a_failure():
    scenario = Scenario(1)
    scenario.ec2.refusal = "no room"
    scenario.desire(2)
    scenario.ec2.refusal = ""
    assert len(scenario.desire(3).states) == 3


def test_activities_are_listed_in_progress_first_then_newest_first():
    scenario = Scenario(2, DRAINED).terminate("i-1").settle(1).desire(3)
    assert scenario.statuses() == [
        ("Terminating", "MidLifecycleAction"),
        ("Launching", "Successful"),
        ("Launching", "Successful"),
        ("Launching", "Successful"),
        ("Launching", "Successful"),
    ]
    assert scenario.group.activities.listing()[1].instance == "i-4"


def test_the_activity_of_an_ended_instance_has_cause_result_and_duration():
    scenario = Scenario(2, DRAINED).terminate("i-1", decrement=True).settle(40).answer("i-1", DRAINED)
    [end] = [one for one in scenario.group.activities.listing() if one.description == "Terminating EC2 instance: i-1"]
    assert end.status == "Successful"
    assert "in response to a user request, shrinking the capacity from 2 to 1" in end.cause
    assert end.details["How"] == "continue"
    assert end.details["Waited"] == 40


def test_spot_instances_have_their_share_above_the_on_demand_base():
    scenario = Scenario(0, minimum=0)
    scenario.group.sizes.on_demand_base, scenario.group.sizes.on_demand_percent = 1, 50
    scenario.desire(5)
    assert scenario.ec2.spot == [False, False, True, False, True]


def test_a_group_without_spot_launches_none():
    assert not any(Scenario(8).ec2.spot)


def test_rebalancing_launches_first_and_terminates_when_the_new_one_is_in_service():
    scenario = Scenario(1, READY, DRAINED).answer("i-1", READY)
    scenario.group.rebalance("i-1")
    scenario.group.rebalance("i-1")
    assert scenario.settle().states == {"i-1": IN_SERVICE, "i-2": PENDING_WAIT}
    assert scenario.answer("i-2", READY).states == {"i-1": TERMINATING_WAIT, "i-2": IN_SERVICE}
    assert scenario.group.sizes.desired == 1


def test_a_replacement_that_fails_is_followed_by_another():
    scenario = Scenario(1, READY).answer("i-1", READY)
    scenario.group.rebalance("i-1")
    scenario.settle().answer("i-2", READY, "ABANDON")
    assert scenario.states == {"i-1": IN_SERVICE, "i-3": PENDING_WAIT}


def test_an_instance_lost_before_its_replacement_is_in_service_needs_one_launch():
    scenario = Scenario(1, READY).answer("i-1", READY)
    scenario.group.rebalance("i-1")
    scenario.settle().group.ended(0, "i-1")
    assert scenario.settle().states == {"i-2": PENDING_WAIT}


def test_a_refresh_replaces_one_after_the_other():
    scenario = Scenario(2, READY, DRAINED).answer("i-1", READY).answer("i-2", READY)
    scenario.group.refresh()
    assert scenario.settle().states == {"i-1": IN_SERVICE, "i-2": IN_SERVICE, "i-3": PENDING_WAIT}
    scenario.answer("i-3", READY)
    assert scenario.states == {"i-1": TERMINATING_WAIT, "i-2": IN_SERVICE, "i-3": IN_SERVICE, "i-4": PENDING_WAIT}
    with pytest.raises(RefusedError, match="already in progress"):
        scenario.group.refresh()
    scenario.answer("i-4", READY).answer("i-1", DRAINED).answer("i-2", DRAINED)
    assert scenario.states == {"i-3": IN_SERVICE, "i-4": IN_SERVICE}
    assert not scenario.group.refreshing


def test_a_refresh_keeps_instances_that_are_new_already():
    scenario = Scenario(2)
    scenario.ec2.version = "2"
    scenario.terminate("i-1").group.refresh(keep={"i-3"})
    scenario.settle()
    assert scenario.states.keys() == {"i-3", "i-4"}
    assert scenario.ec2.ended == ["i-1", "i-2"]
