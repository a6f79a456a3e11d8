from __future__ import annotations

import pytest

from tests.node.lifecycle.node_of import (
    BUSY,
    FAILED,
    REFUSED,
    Kind,
    Node,
    PersistedState,
    unit,
)

DOWN = unit("inactive")
STOPPING = unit("deactivating", has_job=True)


def test_a_terminated_worker_finishes_its_tasks_before_the_lifecycle_action_is_completed():
    node = Node()
    assert node.do_pass(0, terminating=True) == [Kind.STOP_WORKER, Kind.HEARTBEAT]
    assert node.state == "draining"
    assert set(node.do_passes(2, 600, terminating=True, unit=STOPPING)) == {Kind.HEARTBEAT}
    assert node.do_pass(602, terminating=True, unit=DOWN) == [Kind.COMPLETE]
    assert node.state == "ended"


def test_the_hook_gets_three_heartbeats_in_each_timeout():
    node = Node()
    node.do_pass(0, terminating=True)
    assert node.do_passes(2, 302, terminating=True, unit=STOPPING) == [Kind.HEARTBEAT] * 3


def test_a_throttled_heartbeat_is_retried_soon():
    node = Node(HEARTBEAT=FAILED)
    node.do_pass(0, terminating=True)
    assert len(node.do_passes(2, 62, terminating=True, unit=STOPPING)) >= 3


def test_a_worker_that_does_not_stop_is_stopped_again():
    node = Node()
    node.do_pass(0, terminating=True)
    assert Kind.STOP_WORKER in node.do_passes(2, 12, terminating=True)


def test_tasks_are_ended_at_the_drain_limit_and_not_before():
    node = Node()
    node.do_pass(0, terminating=True)
    assert Kind.END_TASKS not in node.do_passes(2, 3598, terminating=True, unit=STOPPING)
    assert Kind.END_TASKS in node.do_passes(3598, 3602, terminating=True, unit=STOPPING)
    assert "drain limit" in node.reasons[-1]


def test_the_drain_limit_survives_a_restart_of_the_service():
    node = Node(persisted=PersistedState(draining_since=100.0, boot_noted=True), now=3500.0)
    assert Kind.END_TASKS not in node.do_pass(3500, terminating=True, unit=STOPPING)
    assert Kind.END_TASKS in node.do_pass(3702, terminating=True, unit=STOPPING)


def test_heartbeats_and_the_end_of_tasks_do_not_wait_for_systemd():
    node = Node()
    node.do_pass(0, terminating=True, spot_end=120.0)
    silent = {"terminating": True, "spot_end": 120.0, "unit": None, "running": None}
    done = node.do_passes(2, 120, **silent)
    assert done.count(Kind.HEARTBEAT) == 1
    assert done.count(Kind.END_TASKS) == 4
    assert set(done) == {Kind.HEARTBEAT, Kind.END_TASKS}


def test_the_beginning_of_a_drain_is_persisted():
    node = Node()
    node.do_pass(7, terminating=True)
    node.do_pass(9, terminating=True)
    assert node.machine.persisted.draining_since == 7


def test_a_termination_goes_on_when_the_metadata_service_no_longer_shows_it():
    node = Node()
    node.do_pass(0, terminating=True)
    assert set(node.do_passes(2, 300, unit=STOPPING)) == {Kind.HEARTBEAT}
    restarted = Node(persisted=node.machine.persisted, now=302.0)
    assert Kind.HEARTBEAT in restarted.do_passes(302, 600, unit=STOPPING)
    assert restarted.do_pass(602, unit=DOWN) == [Kind.COMPLETE]


def test_a_spot_notice_survives_a_restart_of_the_service():
    node = Node()
    node.do_pass(0, spot_end=120.0)
    restarted = Node(persisted=node.machine.persisted, now=60.0)
    assert restarted.do_passes(60, 88, unit=STOPPING) == []
    assert restarted.do_pass(90, unit=STOPPING) == [Kind.END_TASKS]
    assert restarted.do_pass(92, unit=DOWN) == [Kind.COMPLETE]


def test_a_draining_worker_never_works_again():
    node = Node(persisted=PersistedState(draining_since=100.0, boot_noted=True), now=200.0)
    assert Kind.START_WORKER not in node.do_passes(200, 300, unit=DOWN)
    assert node.state == "draining"


def test_tasks_of_a_spot_instance_are_ended_half_a_minute_before_it_goes():
    node = Node()
    assert node.do_pass(0, spot_end=120.0) == [Kind.STOP_WORKER]
    assert node.do_passes(2, 88, spot_end=120.0, unit=STOPPING) == []
    assert node.do_passes(90, 120, spot_end=120.0, unit=STOPPING) == [Kind.END_TASKS] * 4, (
        "again, for tasks that started since"
    )


@pytest.mark.parametrize("terminating", [False, True])
def test_tasks_are_ended_a_minute_into_a_shutdown_of_the_machine(terminating: bool):
    node = Node()
    fields = {"unit": STOPPING, "terminating": terminating, "system_stopping": True}
    assert Kind.END_TASKS not in node.do_passes(0, 58, **fields)
    assert Kind.END_TASKS in node.do_pass(60, **fields), "EC2 cuts the power a few minutes later"


def test_no_tasks_are_ended_on_a_spot_instance_without_tasks():
    node = Node()
    node.do_pass(0, spot_end=20.0)
    assert node.do_passes(2, 20, spot_end=20.0, unit=STOPPING, worker=None, running=0) == []


def test_a_drained_spot_instance_lets_the_group_replace_it():
    node = Node(COMPLETE=REFUSED)
    node.do_pass(0, spot_end=120.0)
    assert node.do_passes(2, 4, spot_end=120.0, unit=DOWN) == [Kind.COMPLETE, Kind.TERMINATE], "two minutes are left"
    node.answers.clear()
    assert Kind.COMPLETE in node.do_passes(12, 30, spot_end=120.0, terminating=True, unit=DOWN)
    assert node.state == "ended"


def test_an_instance_whose_hook_no_longer_waits_terminates_itself():
    node = Node(HEARTBEAT=REFUSED, COMPLETE=REFUSED)
    node.do_pass(0, terminating=True)
    assert set(node.do_passes(2, 900, terminating=True, unit=STOPPING)) <= {Kind.HEARTBEAT}, "its tasks continue"
    assert node.do_passes(902, 908, terminating=True, unit=DOWN) == [Kind.COMPLETE, Kind.TERMINATE]


def test_a_throttled_completion_is_retried():
    node = Node(COMPLETE=FAILED)
    node.do_pass(0, terminating=True)
    requests = node.do_passes(2, 200, terminating=True, unit=DOWN)
    assert set(requests) == {Kind.COMPLETE}
    assert 4 <= len(requests) <= 12, "not in every pass: that keeps a throttled API throttled"
    node.answers.clear()
    node.do_passes(200, 262, terminating=True, unit=DOWN)
    assert node.state == "ended"


def test_a_drained_node_that_is_not_terminated_turns_itself_off():
    node = Node(COMPLETE=REFUSED, TERMINATE=FAILED)
    node.do_pass(0, terminating=True)
    assert Kind.POWER_OFF not in node.do_passes(2, 898, terminating=True, unit=DOWN)
    assert Kind.POWER_OFF in node.do_passes(898, 1000, terminating=True, unit=DOWN)


def test_an_ended_node_that_is_not_terminated_turns_itself_off():
    node = Node()
    node.do_pass(0, terminating=True)
    assert node.do_passes(2, 898, terminating=True, unit=DOWN) == [Kind.COMPLETE]
    assert node.do_passes(898, 960, terminating=True, unit=DOWN) == [Kind.POWER_OFF]


def test_a_draining_worker_that_runs_tasks_is_never_turned_off():
    node = Node(HEARTBEAT=REFUSED)
    assert Kind.POWER_OFF not in node.do_passes(0, 3000, terminating=True, unit=STOPPING, worker=BUSY)
