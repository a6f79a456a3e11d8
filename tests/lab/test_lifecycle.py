"""One instance and its lifecycle hooks."""

from __future__ import annotations

import pytest

from lab.aws.lifecycle import (
    ABANDON,
    CONTINUE,
    GONE,
    IN_SERVICE,
    LAUNCHING,
    PENDING_WAIT,
    RETAINED,
    TERMINATING,
    TERMINATING_WAIT,
    Hook,
    Member,
    NoActiveActionError,
    Rules,
)


def hook(name: str, transition: str, *, timeout: float = 300, default: str = ABANDON) -> Hook:
    return Hook(name=name, transition=transition, heartbeat_timeout=timeout, default_result=default)


READY, DRAINED = hook("ready", LAUNCHING, timeout=600), hook("drained", TERMINATING)


def member(*hooks: Hook, retain: bool = False) -> Member:
    one = Member("i-1", Rules(hooks=hooks, retain=retain), zone="eu-west-1a")
    one.launch(0)
    return one


def in_service(*hooks: Hook, retain: bool = False) -> Member:
    one = member(*hooks, retain=retain)
    assert one.state == IN_SERVICE
    return one


def test_without_hooks_an_instance_is_launched_and_terminated_at_once():
    one = in_service()
    one.terminate(7)
    assert (one.state, one.how, one.waited) == (GONE, "no hook", 0)


def test_a_launching_hook_keeps_an_instance_out_of_service_until_it_continues():
    one = member(READY)
    assert one.state == PENDING_WAIT
    assert one.counts
    one.complete(20, "ready", CONTINUE)
    assert one.state == IN_SERVICE
    assert one.in_service_since == 20


def test_an_abandoned_launch_ends_the_instance_through_its_terminating_hook():
    one = member(READY, DRAINED)
    one.complete(20, "ready", ABANDON)
    assert one.state == TERMINATING_WAIT
    assert "Lifecycle Action Completed with ABANDON Result" in one.message
    one.complete(25, "drained", CONTINUE)
    assert (one.state, one.how, one.waited) == (GONE, "continue", 5)


def test_a_launch_without_a_result_is_abandoned_after_the_time_out():
    one = member(READY)
    assert not one.pass_time(599)
    assert one.pass_time(600)
    assert one.state == GONE
    assert "Heartbeat Timeout" in one.message


def test_a_launch_without_a_result_enters_service_if_the_default_result_is_continue():
    one = member(hook("ready", LAUNCHING, default=CONTINUE))
    one.pass_time(300)
    assert one.state == IN_SERVICE


def test_a_terminating_hook_keeps_the_instance_until_it_continues():
    one = in_service(DRAINED)
    one.terminate(100)
    assert one.state == TERMINATING_WAIT
    assert not one.counts
    one.complete(160, "drained", CONTINUE)
    assert (one.state, one.how, one.waited) == (GONE, "continue", 60)


def test_a_second_termination_changes_nothing():
    one = in_service(DRAINED)
    one.terminate(100)
    one.terminate(200)
    assert one.state == TERMINATING_WAIT
    assert one.terminating_since == 100


def test_heartbeats_postpone_the_time_out():
    one = in_service(DRAINED)
    one.terminate(0)
    one.heartbeat(299, "drained")
    one.pass_time(598)
    assert one.state == TERMINATING_WAIT
    one.pass_time(599)
    assert (one.state, one.how) == (GONE, "timeout")


@pytest.mark.parametrize(("timeout", "end"), [(300, 30_000), (7200, 172_800)], ids=["100 heartbeats", "48 hours"])
def test_heartbeats_do_not_extend_the_global_time_out(timeout: float, end: float):
    one = in_service(hook("drained", TERMINATING, timeout=timeout))
    one.terminate(0)
    for beat in range(0, int(end), int(timeout) // 2):
        one.heartbeat(beat, "drained")
        assert not one.pass_time(beat)
    one.heartbeat(end - 1, "drained")
    assert one.pass_time(end)
    assert one.state == GONE


@pytest.mark.parametrize("how", ["abandon", "timeout"])
def test_an_abandoned_termination_retains_the_instance_until_it_is_terminated_again(how: str):
    one = in_service(DRAINED, retain=True)
    one.terminate(0)
    one.complete(10, "drained", ABANDON) if how == "abandon" else one.pass_time(300)
    assert one.state == RETAINED
    assert not one.counts
    one.terminate(1000)
    assert (one.state, one.how, one.waited) == (GONE, "retained", 1000)


def test_an_abandoned_termination_ends_the_instance_without_retention():
    one = in_service(DRAINED)
    one.terminate(0)
    one.complete(10, "drained", ABANDON)
    assert (one.state, one.how) == (GONE, "abandon")


def test_a_default_result_of_continue_does_not_retain_the_instance():
    one = in_service(hook("drained", TERMINATING, default=CONTINUE), retain=True)
    one.terminate(0)
    one.pass_time(300)
    assert (one.state, one.how) == (GONE, "timeout")


def test_all_hooks_must_continue_and_one_can_abandon():
    second = hook("second", TERMINATING)
    one = in_service(DRAINED, second)
    one.terminate(0)
    one.complete(1, "drained", CONTINUE)
    assert one.state == TERMINATING_WAIT
    one.complete(2, "second", CONTINUE)
    assert one.state == GONE
    other = in_service(DRAINED, second)
    other.terminate(0)
    other.complete(1, "second", ABANDON)
    assert other.state == GONE


@pytest.mark.parametrize("state", ["in service", "retained", "another hook"])
def test_results_and_heartbeats_without_an_action_are_refused(state: str):
    one = in_service(DRAINED, retain=True)
    if state != "in service":
        one.terminate(0)
    if state == "retained":
        one.complete(1, "drained", ABANDON)
    name = "other" if state == "another hook" else "drained"
    with pytest.raises(NoActiveActionError):
        one.complete(2, name, CONTINUE)
    with pytest.raises(NoActiveActionError):
        one.heartbeat(2, name)


def test_an_instance_that_ec2_ended_waits_for_no_hook_and_is_not_retained():
    one = in_service(DRAINED, retain=True)
    one.terminate(0)
    one.end(30)
    assert (one.state, one.how, one.waited) == (GONE, "outside", 30)
