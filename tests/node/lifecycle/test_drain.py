from __future__ import annotations

import pytest

from tests.node.lifecycle.node_of import (
    BUSY,
    FAILED,
    REFUSED,
    Kind,
    Node,
    memory,
    unit,
)

DOWN = unit("inactive")
STOPPING = unit("deactivating", has_job=True)


def test_a_terminated_worker_finishes_its_tasks_before_the_group_is_told():
    node = Node()
    assert node.look(0, terminating=True) == [Kind.STOP_WORKER, Kind.HEARTBEAT]
    assert node.state == "draining"
    assert set(node.watch(2, 600, terminating=True, unit=STOPPING)) == {Kind.HEARTBEAT}
    assert node.look(602, terminating=True, unit=DOWN) == [Kind.CONTINUE]
    assert node.state == "ended"


def test_the_hook_gets_three_heartbeats_in_the_time_it_waits_for_one():
    node = Node()
    node.look(0, terminating=True)
    assert node.watch(2, 302, terminating=True, unit=STOPPING) == [Kind.HEARTBEAT] * 3


def test_a_throttled_heartbeat_is_repeated_soon():
    node = Node(HEARTBEAT=FAILED)
    node.look(0, terminating=True)
    assert len(node.watch(2, 62, terminating=True, unit=STOPPING)) >= 3


def test_a_worker_that_did_not_stop_is_told_again():
    node = Node()
    node.look(0, terminating=True)
    assert Kind.STOP_WORKER in node.watch(2, 12, terminating=True)


def test_tasks_go_on_until_the_drain_limit_and_are_ended_then():
    node = Node()
    node.look(0, terminating=True)
    assert Kind.END_TASKS not in node.watch(2, 3598, terminating=True, unit=STOPPING)
    assert Kind.END_TASKS in node.watch(3598, 3602, terminating=True, unit=STOPPING)
    assert "drain limit" in node.why[-1]


def test_the_drain_limit_counts_on_over_a_restart_of_the_service():
    node = Node(memory=memory.Memory(draining_since=100.0, boot_noted=True), now=3500.0)
    assert Kind.END_TASKS not in node.look(3500, terminating=True, unit=STOPPING)
    assert Kind.END_TASKS in node.look(3702, terminating=True, unit=STOPPING)


def test_a_systemd_that_does_not_answer_costs_neither_the_hook_nor_the_tasks_of_a_spot_instance():
    node = Node()
    node.look(0, terminating=True, spot_end=120.0)
    silent = {"terminating": True, "spot_end": 120.0, "unit": None, "running": None}
    done = node.watch(2, 120, **silent)
    assert done.count(Kind.HEARTBEAT) == 1
    assert done.count(Kind.END_TASKS) == 4
    assert set(done) == {Kind.HEARTBEAT, Kind.END_TASKS}


def test_the_beginning_of_a_drain_is_remembered():
    node = Node()
    node.look(7, terminating=True)
    node.look(9, terminating=True)
    assert node.life.memory.draining_since == 7


def test_a_termination_that_the_metadata_service_speaks_of_no_more_is_seen_through():
    node = Node()
    node.look(0, terminating=True)
    assert set(node.watch(2, 300, unit=STOPPING)) == {Kind.HEARTBEAT}
    restarted = Node(memory=node.life.memory, now=302.0)
    assert Kind.HEARTBEAT in restarted.watch(302, 600, unit=STOPPING)
    assert restarted.look(602, unit=DOWN) == [Kind.CONTINUE]


def test_a_spot_notice_outlives_the_service():
    node = Node()
    node.look(0, spot_end=120.0)
    restarted = Node(memory=node.life.memory, now=60.0)
    assert restarted.watch(60, 88, unit=STOPPING) == []
    assert restarted.look(90, unit=STOPPING) == [Kind.END_TASKS]
    assert restarted.look(92, unit=DOWN) == [Kind.CONTINUE]


def test_there_is_no_way_back_from_draining():
    node = Node(memory=memory.Memory(draining_since=100.0, boot_noted=True), now=200.0)
    assert Kind.START_WORKER not in node.watch(200, 300, unit=DOWN)
    assert node.state == "draining"


def test_tasks_of_a_spot_instance_are_ended_half_a_minute_before_it_goes():
    node = Node()
    assert node.look(0, spot_end=120.0) == [Kind.STOP_WORKER]
    assert node.watch(2, 88, spot_end=120.0, unit=STOPPING) == []
    assert node.watch(90, 120, spot_end=120.0, unit=STOPPING) == [Kind.END_TASKS] * 4, "also those that had only begun"


@pytest.mark.parametrize("terminating", [False, True])
def test_tasks_are_ended_a_minute_after_the_machine_was_told_to_shut_down(terminating: bool):
    node = Node()
    facts = {"unit": STOPPING, "terminating": terminating, "system_stopping": True}
    assert Kind.END_TASKS not in node.watch(0, 58, **facts)
    assert Kind.END_TASKS in node.look(60, **facts), "EC2 cuts the power a few minutes after its first word"


def test_a_spot_worker_without_tasks_has_none_ended():
    node = Node()
    node.look(0, spot_end=20.0)
    assert node.watch(2, 20, spot_end=20.0, unit=STOPPING, worker=None, running=0) == []


def test_a_drained_spot_instance_lets_the_group_replace_it():
    node = Node(CONTINUE=REFUSED)
    node.look(0, spot_end=120.0)
    assert node.watch(2, 4, spot_end=120.0, unit=DOWN) == [Kind.CONTINUE, Kind.TERMINATE], "its two minutes run"
    node.answers.clear()
    assert Kind.CONTINUE in node.watch(12, 30, spot_end=120.0, terminating=True, unit=DOWN)
    assert node.state == "ended"


def test_an_instance_whose_hook_has_given_up_ends_itself():
    node = Node(HEARTBEAT=REFUSED, CONTINUE=REFUSED)
    node.look(0, terminating=True)
    assert set(node.watch(2, 900, terminating=True, unit=STOPPING)) <= {Kind.HEARTBEAT}, "its tasks go on"
    assert node.watch(902, 908, terminating=True, unit=DOWN) == [Kind.CONTINUE, Kind.TERMINATE]


def test_a_throttled_farewell_is_repeated():
    node = Node(CONTINUE=FAILED)
    node.look(0, terminating=True)
    said = node.watch(2, 200, terminating=True, unit=DOWN)
    assert set(said) == {Kind.CONTINUE}
    assert 4 <= len(said) <= 12, "not at every look: that keeps a throttled API throttled"
    node.answers.clear()
    node.watch(200, 262, terminating=True, unit=DOWN)
    assert node.state == "ended"


def test_a_drained_node_that_nobody_ends_turns_itself_off():
    node = Node(CONTINUE=REFUSED, TERMINATE=FAILED)
    node.look(0, terminating=True)
    assert Kind.POWER_OFF not in node.watch(2, 898, terminating=True, unit=DOWN)
    assert Kind.POWER_OFF in node.watch(898, 1000, terminating=True, unit=DOWN)


def test_an_ended_node_that_stays_turns_itself_off():
    node = Node()
    node.look(0, terminating=True)
    assert node.watch(2, 898, terminating=True, unit=DOWN) == [Kind.CONTINUE]
    assert node.watch(898, 960, terminating=True, unit=DOWN) == [Kind.POWER_OFF]


def test_a_draining_worker_that_runs_tasks_is_never_turned_off():
    node = Node(HEARTBEAT=REFUSED)
    assert Kind.POWER_OFF not in node.watch(0, 3000, terminating=True, unit=STOPPING, worker=BUSY)
