from __future__ import annotations

import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scaling.pool import Worker

from tests.node.scaling.pools import POOL, Watch, in_state, working

FULL = (working("i-1", 4), working("i-2", 4))


def test_running_and_queued_tasks_decide_how_many_workers_there_are():
    decision = Watch().look(desired=0, running=5, queued=4)
    assert (decision.needed, decision.desired) == (3, 3)


def test_the_desired_capacity_is_never_lowered():
    decision = Watch().look(*FULL, desired=5, running=1)
    assert (decision.needed, decision.desired) == (1, 5)


def test_the_groups_limits_hold():
    assert Watch().look(desired=1, queued=100, maximum=3).desired == 3
    assert Watch().look(desired=2, minimum=2).needed == 2


def test_instances_that_boot_are_not_requested_again():
    decision = Watch().look(working("i-1", 4), desired=3, running=4, queued=8)
    assert decision.desired == 3


def test_draining_workers_are_no_capacity():
    # Auto Scaling has taken them out of the desired capacity already.
    leavers = (in_state("draining", "i-3", 4), in_state("leaving", "i-4"))
    decision = Watch().look(*FULL, *leavers, desired=2, in_service={"i-1", "i-2"}, running=8, queued=1)
    assert decision.desired == 3


def test_a_worker_that_does_not_consume_keeps_its_place_and_another_is_launched():
    stuck = in_state("not-consuming", "i-1", 1)
    decision = Watch().look(stuck, desired=1, queued=3)
    assert (decision.needed, decision.desired) == (1, 2)
    assert Watch().look(stuck, desired=1, queued=3, maximum=1).desired == 1


@pytest.mark.parametrize("state", ["draining", "leaving", "hibernating"])
def test_a_worker_that_ends_with_a_last_task_does_not_stand_in_for_a_new_one(state: str):
    watch, leaver = Watch(), in_state(state, "i-1", 1)
    decision = watch.look(leaver, desired=1, queued=12)
    assert (decision.needed, decision.desired) == (3, 4)
    watch.now += 10
    assert watch.look(leaver, desired=4, queued=12).desired == 4, "asked for once"
    assert watch.look(leaver, desired=4, queued=12, maximum=4).desired == 4
    assert watch.look(desired=3, queued=12, in_service=()).desired == 3, "it has gone, and took its place along"


def test_a_worker_that_ends_is_not_replaced_while_the_others_suffice():
    assert Watch().look(*FULL, in_state("leaving", "i-3", 1), desired=3, running=8).desired == 3


def test_a_worker_that_ends_without_a_task_is_awaited():
    leavers = [in_state(state, instance) for state, instance in (("leaving", "i-1"), ("draining", "i-2"))]
    assert Watch().look(*leavers, desired=2, queued=8).desired == 2


def test_workers_that_end_do_not_raise_an_idle_pool_above_its_minimum():
    assert Watch().look(in_state("leaving", "i-1", 1), desired=1, minimum=1).desired == 1


def test_a_worker_on_which_tasks_would_fail_is_no_capacity_with_or_without_a_task():
    for active in (0, 2):
        decision = Watch().look(in_state("unavailable", "i-1", active), desired=1, queued=3)
        assert decision.desired == 2, "its place is taken, and the tasks need a worker"
        assert "; i-1 cannot take tasks; asking for 2 instead of 1" in decision.reason
        assert (decision.cordon, decision.uncordon) == ((), ())


def test_no_worker_leaves_on_its_own_while_one_is_unavailable():
    decision = Watch().look(working("i-1", 1), in_state("unavailable", "i-2"), desired=2, minimum=1)
    assert decision.floor == 2


def test_expected_tasks_raise_the_capacity_before_they_come():
    decision = Watch().look(working("i-1", 3), running=3, expected=9)
    assert (decision.needed, decision.desired) == (3, 3)


def test_expected_tasks_use_what_is_free_first():
    assert Watch().look(working("i-1", 1), running=1, expected=3).needed == 1


def test_the_schedule_adds_no_more_than_its_budget():
    assert Watch().look(desired=0, running=4, expected=100).needed == 1 + POOL.workers_ahead
    off = dataclasses.replace(POOL, workers_ahead=0)
    assert Watch(off).look(desired=0, running=4, expected=100).needed == 1


def test_a_cordoned_worker_comes_back_before_anything_is_launched():
    decision = Watch().look(*FULL, in_state("retired", "i-3", 1), running=9, queued=1)
    assert (decision.uncordon, decision.cordon, decision.desired) == (("i-3",), (), 3)


def test_a_cordoned_worker_comes_back_even_if_a_boot_is_on_its_way():
    decision = Watch().look(*FULL, in_state("retired", "i-3"), desired=4, running=8, queued=1)
    assert decision.uncordon == ("i-3",)


def test_the_cordoned_worker_with_the_most_room_comes_back_first():
    cordoned = (in_state("retired", "i-3", 3), in_state("retired", "i-4", 1))
    decision = Watch().look(*FULL, *cordoned, running=12, queued=2)
    assert (decision.uncordon, decision.cordon) == (("i-4",), ("i-3",))


def test_tasks_of_a_cordoned_worker_need_no_room_elsewhere():
    decision = Watch().look(*FULL, in_state("retired", "i-3", 1), running=9)
    assert (decision.uncordon, decision.cordon) == ((), ("i-3",))


def test_a_surplus_that_lasts_is_cordoned_those_with_the_fewest_tasks_first():
    fleet = (working("i-1", 3), working("i-2", 1), working("i-3", 2))
    watch = Watch()
    assert watch.look_for(50, *fleet, running=6).cordon == ()
    assert watch.look_for(10, *fleet, running=6).cordon == ("i-2",)


def test_of_idle_workers_the_one_that_is_idle_longest_goes():
    fleet = (working("i-1", 0, 70.0), working("i-2", 0, 90.0), working("i-3", 3))
    assert Watch().look_for(60, *fleet, running=4, minimum=2).cordon == ("i-2",)


def test_the_minimum_is_never_cordoned():
    fleet = (working("i-1", 0), working("i-2", 0))
    assert Watch().look_for(600, *fleet, minimum=2).cordon == ()


def test_workers_that_boot_do_not_stand_in_for_working_ones():
    watch = Watch()
    for _ in range(30):
        decision = watch.look(*FULL, desired=6, running=8)
        watch.now += 10
        assert decision.cordon == ()


def test_a_cordoned_worker_stays_cordoned_until_it_is_needed():
    decision = Watch().look(working("i-1", 1), in_state("retired", "i-2", 2), running=3)
    assert (decision.cordon, decision.uncordon) == (("i-2",), ())


BUSY = (working("i-1", 4), working("i-2", 4), working("i-3", 4))


@pytest.mark.parametrize("in_service", [{"i-1", "i-2", "i-3"}, {"i-2", "i-3", "i-4"}, {"i-1", "i-2", "i-3", "i-4"}])
def test_while_an_instance_is_replaced_no_worker_is_cordoned(in_service: set[str]):
    decision = Watch().look_for(60, *BUSY, working("i-4", 0), desired=3, in_service=in_service, running=12, minimum=1)
    assert (decision.cordon, decision.desired) == ((), 3), "Auto Scaling ends the one too many itself"


def test_a_worker_that_is_not_in_service_yet_is_neither_cordoned_nor_counted_on():
    fleet, in_service = (*BUSY, working("i-4", 0)), {"i-1", "i-2", "i-3"}
    assert Watch().look_for(60, *fleet, desired=4, in_service=in_service, running=12).cordon == ()
    assert Watch().look_for(60, *fleet, desired=4, in_service=in_service, running=8).cordon == ("i-1",)
    assert Watch().look_for(60, *fleet, desired=4, running=12).cordon == ("i-4",)


def test_cordoned_workers_take_their_places_along():
    fleet = (*BUSY, in_state("retired", "i-4", 1))
    assert Watch().look_for(60, *fleet, desired=3, running=9).cordon == ("i-4",), "three places less one are two"
    assert Watch().look_for(60, *fleet, desired=4, running=9).cordon == ("i-1", "i-4")


@pytest.mark.parametrize("state", ["draining", "leaving", "hibernating"])
def test_workers_that_end_take_their_places_along_until_auto_scaling_ends_them(state: str):
    fleet = (*BUSY, in_state(state, "i-4", 1))
    in_service = {"i-1", "i-2", "i-3", "i-4"}
    assert Watch().look_for(60, *fleet, desired=3, in_service=in_service, running=8).cordon == ()
    assert Watch().look_for(60, *fleet, desired=4, in_service=in_service, running=8).cordon == ("i-1",)
    ended = in_service - {"i-4"}
    assert Watch().look_for(60, *fleet, desired=3, in_service=ended, running=8).cordon == ("i-1",), (
        "it has none any more"
    )


def test_another_master_cordons_no_other_worker():
    fleet = (working("i-1", 3), working("i-2", 1))
    first, second = Watch(), Watch()
    assert first.look_for(60, *fleet, running=4).cordon == ("i-2",)
    assert second.look_for(60, *fleet, running=4).cordon == ("i-2",)
    obeyed = (working("i-1", 3), in_state("retired", "i-2", 1))
    assert second.look(*obeyed, running=4).cordon == ("i-2",)


def test_while_tasks_need_workers_the_masters_choose_who_leaves():
    idle = [working(f"i-{number}", 0) for number in range(4)]
    assert Watch().look(*idle, running=5).floor == 4
    assert Watch().look(*idle).floor == 0
    assert Watch().look(*idle, minimum=2, running=1).floor == 2


def test_the_last_workers_stay_while_the_group_cannot_launch_the_others():
    idle = [working("i-1", 0, 9000.0), working("i-2", 0, 9000.0)]
    watch = Watch()
    assert watch.look(*idle, desired=8, minimum=1, launch_failure="no capacity").floor == 8, "Auto Scaling allows 7"
    assert watch.look(*idle, desired=2, minimum=1).floor == 1


def test_workers_too_many_are_cordoned_while_the_group_cannot_launch_more():
    watch, decision = Watch(), None
    for _ in range(8):
        decision = watch.look(working("i-1", 0), working("i-2", 0, 9.0), desired=8, minimum=1)
        watch.now += 10
    assert decision is not None
    assert decision.cordon == ("i-2",)


def test_a_worker_that_has_to_end_is_not_counted_on():
    fleet = (in_state("draining", "i-1", 1), working("i-2", 0))
    assert Watch().look(*fleet, minimum=1).floor == 2
    fleet = (in_state("leaving", "i-1"), working("i-2", 0))
    assert Watch().look(*fleet, minimum=1).floor == 1, "Auto Scaling itself refuses the second"


def test_a_worker_in_a_state_of_another_release_is_neither_cordoned_nor_uncordoned():
    fleet = (in_state("hibernating", "i-1"), working("i-2", 3), working("i-3", 1))
    assert Watch().look_for(600, *fleet, running=4).cordon == ("i-3",)
    assert Watch().look(in_state("hibernating", "i-1"), working("i-2", 4), running=4, queued=4).uncordon == ()


def test_a_worker_in_a_state_of_another_release_is_not_counted_on():
    fleet = (in_state("hibernating", "i-1"), working("i-2", 4), in_state("retired", "i-3"))
    decision = Watch().look(*fleet, running=4, queued=4)
    assert decision.uncordon == ("i-3",)
    idle = (in_state("hibernating", "i-1"), working("i-2", 0))
    assert Watch().look(*idle, minimum=1).floor == 2, "the other one may not leave"
    assert "not ready" not in Watch().look(*idle).reason, "it has booted"


def test_a_group_that_cannot_launch_is_raised_again_after_a_pause():
    watch = Watch()
    told = watch.look(desired=1, queued=12, launch_failure="no capacity in eu-west-1a")
    assert told.desired == 1
    assert "no capacity in eu-west-1a" in told.reason
    watch.now += 30
    assert watch.look(desired=1, queued=12, launch_failure="no capacity in eu-west-1a").desired == 3
    watch.now += 30
    assert watch.look(desired=1, queued=12, launch_failure="no capacity in eu-west-1a").desired == 1
    assert watch.look(desired=1, queued=12).desired == 3


def test_a_master_that_has_just_started_cordons_no_worker_at_once():
    assert Watch().look(working("i-1", 0, 9000.0), working("i-2", 0, 9000.0)).cordon == ()


FLEETS = st.lists(
    st.builds(
        Worker,
        instance=st.uuids().map(str),
        state=st.sampled_from(["starting", "working", "retired", "draining", "leaving", "hibernating"]),
        slots=st.just(4),
        active=st.integers(0, 5),
        idle_seconds=st.floats(0, 1000),
    ),
    max_size=12,
)


# On a busy machine, Hypothesis finds the generation of these lists too slow.
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(st.tuples(FLEETS, st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)), max_size=20))
def test_the_invariants_hold_for_any_observation(sights: list[tuple[list[Worker], int, int, int]]):
    watch = Watch()
    for fleet, running, queued, expected in sights:
        watch.now += 10
        decision = watch.look(*fleet, desired=5, minimum=2, running=running, queued=queued, expected=expected)
        assert 5 <= decision.desired <= 10
        assert 2 <= decision.needed <= 10
        assert 2 <= decision.floor <= decision.desired
        assert not set(decision.cordon) & set(decision.uncordon)
        states = {worker.instance: worker.state for worker in fleet}
        assert {states[instance] for instance in decision.uncordon} <= {"retired"}
        assert {states[instance] for instance in decision.cordon} <= {"retired", "working"}
        newly_cordoned = [instance for instance in decision.cordon if states[instance] == "working"]
        if newly_cordoned:
            assert list(states.values()).count("working") - len(newly_cordoned) >= 2
            ending = sum(state in ("draining", "leaving", "hibernating") for state in states.values())
            assert 5 - len(decision.cordon) - ending >= 2, "as many places are left as the minimum has"
        assert "\n" not in decision.reason
