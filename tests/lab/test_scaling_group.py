"""A group of instances, with an EC2 that is made up."""

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
        self.born = 0
        self.ended: list[str] = []
        self.spot: list[bool] = []
        self.version = "1"
        self.refusal = ""

    def launch(self, *, spot: bool) -> Launched:
        if self.refusal:
            raise CapacityError(self.refusal)
        self.born += 1
        self.spot.append(spot)
        return Launched(id=f"i-{self.born}", zone=ZONES[self.born % 2], version=self.version)

    def terminate(self, instance: str) -> None:
        self.ended.append(instance)


class Game:
    """A group, and its clock."""

    def __init__(
        self, desired: int = 2, *hooks: Hook, minimum: int = 1, maximum: int = 8, retain: bool = False
    ) -> None:
        self.ec2 = FakeEc2()
        self.group = ScalingGroup("pool", self.ec2, Sizes(minimum=minimum, maximum=maximum, desired=desired))
        self.group.rules.hooks, self.group.rules.retain = hooks, retain
        self.now = 0.0
        self.settle()

    def settle(self, seconds: float = 0) -> Game:
        self.now += seconds
        self.group.settle(self.now)
        return self

    @property
    def states(self) -> dict[str, str]:
        return {member.id: member.state for member in self.group.members.values()}

    def desire(self, desired: int) -> Game:
        self.group.set_desired(self.now, desired)
        return self.settle()

    def terminate(self, instance: str, *, decrement: bool = False) -> Game:
        self.group.terminate(self.now, instance, decrement=decrement)
        return self.settle()

    def answer(self, instance: str, hook: Hook, result: str = "CONTINUE") -> Game:
        self.group.complete(self.now, hook.name, result, instance=instance, token=None)
        return self.settle()

    def statuses(self) -> Sequence[tuple[str, str]]:
        return [(one.description.split()[0], one.status) for one in self.group.activities.listing()]


def test_a_group_has_its_desired_capacity():
    game = Game(2)
    assert game.states == {"i-1": IN_SERVICE, "i-2": IN_SERVICE}
    assert game.desire(4).states.keys() == {"i-1", "i-2", "i-3", "i-4"}


@pytest.mark.parametrize(
    ("desired", "said"),
    [
        (9, "New SetDesiredCapacity value 9 is above max value 8 for the AutoScalingGroup."),
        (0, "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup."),
    ],
)
def test_a_size_outside_of_the_bounds_is_refused(desired: int, said: str):
    with pytest.raises(RefusedError, match=said):
        Game().desire(desired)


def test_the_desired_capacity_moves_with_the_bounds():
    game = Game(2)
    game.group.resize(0, minimum=3, maximum=None, desired=None)
    assert len(game.settle().states) == 3
    game.group.resize(0, minimum=0, maximum=1, desired=None)
    assert len(game.settle().states) == 1


def test_a_terminated_instance_is_replaced_at_once_though_it_waits():
    game = Game(2, DRAINED).terminate("i-1")
    assert game.states == {"i-1": TERMINATING_WAIT, "i-2": IN_SERVICE, "i-3": IN_SERVICE}
    assert game.ec2.ended == []
    assert game.answer("i-1", DRAINED).states == {"i-2": IN_SERVICE, "i-3": IN_SERVICE}
    assert game.ec2.ended == ["i-1"]


def test_a_decrement_shrinks_the_group_and_launches_nothing():
    game = Game(2, DRAINED).terminate("i-1", decrement=True)
    assert game.states == {"i-1": TERMINATING_WAIT, "i-2": IN_SERVICE}
    assert game.group.sizes.desired == 1


def test_a_decrement_below_the_minimum_is_refused_in_the_words_of_aws():
    game = Game(2).terminate("i-1", decrement=True)
    with pytest.raises(RefusedError, match=r"desiredSize equals minSize \(1\).*violate group's min size constraint"):
        game.terminate("i-2", decrement=True)
    assert game.states == {"i-2": IN_SERVICE}
    assert game.terminate("i-2").states == {"i-3": IN_SERVICE}


def test_a_decrement_that_repeats_itself_shrinks_once():
    game = Game(3, DRAINED).terminate("i-1", decrement=True).terminate("i-1", decrement=True)
    assert game.group.sizes.desired == 2


def test_an_instance_that_is_not_there_cannot_be_terminated():
    with pytest.raises(RefusedError, match="No managed instance found for instance ID: i-9"):
        Game().terminate("i-9")


def test_a_pending_instance_can_be_terminated():
    game = Game(1, READY).terminate("i-1")
    assert game.states == {"i-2": PENDING_WAIT}
    assert ("Launching", "Cancelled") in game.statuses()


def test_a_retained_instance_is_no_part_of_the_group_and_ends_when_somebody_terminates_it():
    game = Game(1, DRAINED, retain=True).terminate("i-1").answer("i-1", DRAINED, "ABANDON")
    assert game.states == {"i-1": RETAINED, "i-2": IN_SERVICE}
    assert game.terminate("i-1").states == {"i-2": IN_SERVICE}
    assert game.ec2.ended == ["i-1"]


def test_results_find_their_instance_by_the_token_too():
    game = Game(1, READY)
    [action] = game.group.members["i-1"]._actions
    game.group.heartbeat(0, "ready", instance=None, token=action.token)
    game.group.complete(0, "ready", "CONTINUE", instance=None, token=action.token)
    assert game.states == {"i-1": IN_SERVICE}


@pytest.mark.parametrize(
    ("instance", "token", "said"),
    [
        ("i-1", None, "No active Lifecycle Action found with instance ID i-1"),
        ("i-9", None, "No active Lifecycle Action found with instance ID i-9"),
        (None, "0815", "No active Lifecycle Action found with token 0815"),
    ],
)
def test_results_and_heartbeats_of_nothing_are_refused_in_the_words_of_aws(
    instance: str | None, token: str | None, said: str
):
    game = Game(1, DRAINED)
    with pytest.raises(RefusedError, match=said):
        game.group.complete(0, "drained", "CONTINUE", instance=instance, token=token)
    with pytest.raises(RefusedError, match=said):
        game.group.heartbeat(0, "drained", instance=instance, token=token)


def test_an_abandoned_launch_is_tried_again_with_another_instance():
    game = Game(1, READY, DRAINED).answer("i-1", READY, "ABANDON")
    assert game.states == {"i-1": TERMINATING_WAIT, "i-2": PENDING_WAIT}
    [launch] = [one for one in game.group.activities.listing() if one.instance == "i-1" and one.finished]
    assert (launch.status, "was abandoned" in launch.message) == ("Cancelled", True)


def test_an_unhealthy_instance_goes_through_its_hook_and_is_replaced_at_once():
    game = Game(1, DRAINED)
    game.group.members["i-1"].healthy = False
    assert game.settle().states == {"i-1": TERMINATING_WAIT, "i-2": IN_SERVICE}


def test_an_unhealthy_instance_stays_while_somebody_wants_to_look_at_it():
    game = Game(1)
    game.group.replaces_unhealthy = False
    game.group.members["i-1"].healthy = False
    assert game.settle().states == {"i-1": IN_SERVICE}


def test_an_instance_that_ec2_ended_is_replaced_whatever_waits():
    game = Game(1, DRAINED)
    game.group.ended(0, "i-1")
    assert game.settle().states == {"i-2": IN_SERVICE}
    assert game.ec2.ended == [], "it has ended already"
    game.terminate("i-2").group.ended(0, "i-2")
    assert game.settle().states == {"i-3": IN_SERVICE}


def test_a_smaller_group_sheds_its_surplus_through_the_hook():
    game = Game(4, DRAINED).desire(2)
    assert sorted(game.states.values()) == [IN_SERVICE, IN_SERVICE, TERMINATING_WAIT, TERMINATING_WAIT]
    assert game.settle(300).states.keys() == {"i-3", "i-4"}


def test_the_fullest_zone_sheds_first_and_then_the_oldest_template_and_instance():
    game = Game(2)
    game.group.termination_policies = ["OldestLaunchTemplate", "OldestInstance"]
    game.ec2.version = "2"
    assert game.desire(3).states.keys() == {"i-1", "i-2", "i-3"}  # zones b, a, b
    assert game.desire(2).states.keys() == {"i-2", "i-3"}
    assert game.desire(1).states.keys() == {"i-3"}, "the other one is of an older template"


def test_protected_instances_are_not_shed():
    game = Game(2)
    game.group.members["i-1"].protected = True
    assert game.desire(1).states.keys() == {"i-1"}


def test_launches_that_fail_are_told_and_repeated_at_intervals():
    game = Game(1)
    game.ec2.refusal = "We currently do not have sufficient m7i.large capacity."
    game.desire(2).settle(1).settle(1)
    [failed] = [one for one in game.group.activities.listing() if one.status == "Failed"]
    assert failed.message == game.ec2.refusal
    game.ec2.refusal = ""
    assert len(game.settle(SECONDS_BETWEEN_FAILED_LAUNCHES).states) == 2


def test_a_new_size_is_tried_at_once_after_a_failure():
    game = Game(1)
    game.ec2.refusal = "no room"
    game.desire(2)
    game.ec2.refusal = ""
    assert len(game.desire(3).states) == 3


def test_activities_are_told_newest_first_those_in_progress_before_all():
    game = Game(2, DRAINED).terminate("i-1").settle(1).desire(3)
    assert game.statuses() == [
        ("Terminating", "MidLifecycleAction"),
        ("Launching", "Successful"),
        ("Launching", "Successful"),
        ("Launching", "Successful"),
        ("Launching", "Successful"),
    ]
    assert game.group.activities.listing()[1].instance == "i-4"


def test_an_ended_instance_tells_why_how_and_how_long_it_took():
    game = Game(2, DRAINED).terminate("i-1", decrement=True).settle(40).answer("i-1", DRAINED)
    [end] = [one for one in game.group.activities.listing() if one.description == "Terminating EC2 instance: i-1"]
    assert end.status == "Successful"
    assert "in response to a user request, shrinking the capacity from 2 to 1" in end.cause
    assert end.details["How"] == "continue"
    assert end.details["Waited"] == 40


def test_spot_instances_come_after_the_on_demand_base_in_their_share():
    game = Game(0, minimum=0)
    game.group.sizes.on_demand_base, game.group.sizes.on_demand_percent = 1, 50
    game.desire(5)
    assert game.ec2.spot == [False, False, True, False, True]


def test_a_group_without_spot_buys_none():
    assert not any(Game(8).ec2.spot)


def test_rebalancing_launches_first_and_terminates_when_the_new_one_is_in_service():
    game = Game(1, READY, DRAINED).answer("i-1", READY)
    game.group.rebalance("i-1")
    game.group.rebalance("i-1")
    assert game.settle().states == {"i-1": IN_SERVICE, "i-2": PENDING_WAIT}
    assert game.answer("i-2", READY).states == {"i-1": TERMINATING_WAIT, "i-2": IN_SERVICE}
    assert game.group.sizes.desired == 1


def test_a_replacement_that_fails_is_followed_by_another():
    game = Game(1, READY).answer("i-1", READY)
    game.group.rebalance("i-1")
    game.settle().answer("i-2", READY, "ABANDON")
    assert game.states == {"i-1": IN_SERVICE, "i-3": PENDING_WAIT}


def test_an_instance_that_is_lost_before_its_replacement_is_there_costs_one_launch():
    game = Game(1, READY).answer("i-1", READY)
    game.group.rebalance("i-1")
    game.settle().group.ended(0, "i-1")
    assert game.settle().states == {"i-2": PENDING_WAIT}


def test_a_refresh_replaces_one_after_the_other():
    game = Game(2, READY, DRAINED).answer("i-1", READY).answer("i-2", READY)
    game.group.refresh()
    assert game.settle().states == {"i-1": IN_SERVICE, "i-2": IN_SERVICE, "i-3": PENDING_WAIT}
    game.answer("i-3", READY)
    assert game.states == {"i-1": TERMINATING_WAIT, "i-2": IN_SERVICE, "i-3": IN_SERVICE, "i-4": PENDING_WAIT}
    with pytest.raises(RefusedError, match="already in progress"):
        game.group.refresh()
    game.answer("i-4", READY).answer("i-1", DRAINED).answer("i-2", DRAINED)
    assert game.states == {"i-3": IN_SERVICE, "i-4": IN_SERVICE}
    assert not game.group.refreshing


def test_a_refresh_leaves_what_is_new_already():
    game = Game(2)
    game.ec2.version = "2"
    game.terminate("i-1").group.refresh(keep={"i-3"})
    game.settle()
    assert game.states.keys() == {"i-3", "i-4"}
    assert game.ec2.ended == ["i-1", "i-2"]
