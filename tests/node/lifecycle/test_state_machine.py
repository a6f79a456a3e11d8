from __future__ import annotations

from typing import Any

import pytest

from tests.node.lifecycle.node_of import (
    AT_MINIMUM,
    BUSY,
    FAILED,
    IDLE,
    LIMITS,
    NO_ANSWER,
    REFUSED,
    RESTING,
    Kind,
    Node,
    memory,
    unit,
    worker,
)

DOWN = unit("inactive")
STOPPING = unit("deactivating", has_job=True)


def test_a_worker_that_has_not_spoken_yet_is_starting():
    node = Node()
    assert node.look(0, worker=None) == []
    assert node.state == "starting"
    node.look(2)
    assert node.state == "working"


def test_the_length_of_a_boot_is_noted_once():
    node = Node(memory=memory.Memory())
    assert node.watch(0, 20, worker=None) == []
    assert node.watch(20, 40) == [Kind.NOTE_BOOT]
    assert node.life.memory.boot_noted, "a restart of the service must not note it again"


def test_a_boot_is_noted_when_there_is_a_board_to_note_it_on():
    node = Node(memory=memory.Memory())
    assert node.watch(0, 20, retired=None) == []
    assert node.look(22) == [Kind.NOTE_BOOT]


def test_a_boot_that_could_not_be_noted_is_noted_later():
    node = Node(memory=memory.Memory(), NOTE_BOOT=FAILED)
    assert node.look(0) == [Kind.NOTE_BOOT]
    node.answers.clear()
    assert node.watch(2, 10) == [Kind.NOTE_BOOT]


def test_a_retired_worker_rests_until_it_is_called_back():
    node = Node()
    assert node.look(0, retired=True) == [Kind.RETIRE]
    assert node.state == "retired"
    assert node.watch(2, 300, retired=True) == []
    assert node.look(302, retired=False) == [Kind.RECALL]
    assert node.state == "working"


@pytest.mark.parametrize("reason", [{"retired": True}, {"outlier": "nine of ten tasks failed at once"}])
def test_a_worker_that_could_not_be_told_to_rest_is_told_again(reason: dict[str, Any]):
    node = Node(RETIRE=FAILED)
    assert node.look(0, **reason) == [Kind.RETIRE]
    node.answers.clear()
    assert node.watch(2, 10, **reason) == [Kind.RETIRE], "once it knows, it is not told again"


def test_a_retired_worker_that_hears_nothing_goes_back_to_work_when_its_lease_is_over():
    node = Node()
    node.look(0, retired=True)
    assert node.watch(2, 59, retired=None) == [], "a broker that fails over must not move workers about"
    assert node.watch(59, 63, retired=None) == [Kind.RECALL]
    assert node.state == "working"


def test_a_retirement_survives_a_restart_of_the_service():
    node = Node(retired=True)
    assert node.watch(0, 20, retired=None) == []
    assert node.state == "retired"
    assert node.look(22, retired=True) == []


def test_a_retired_worker_leaves_as_soon_as_its_last_task_is_finished():
    node = Node()
    node.look(0, retired=True)
    assert node.look(2, retired=True, worker=worker(reserved=1)) == [], "reserved tasks are its own, too"
    assert node.watch(4, 6, retired=True, worker=RESTING) == [Kind.STOP_WORKER]
    assert node.state == "leaving"
    assert node.look(7, retired=True, unit=STOPPING, worker=RESTING) == []
    assert node.look(8, retired=True, unit=DOWN) == [Kind.LEAVE]
    assert node.watch(10, 60, retired=True, unit=DOWN) == []
    assert node.state == "leaving"


def test_an_idle_worker_leaves_after_its_pools_idle_time():
    node = Node()
    assert node.watch(0, 178, worker=IDLE) == []
    assert node.watch(178, 182, worker=IDLE) == [Kind.RETIRE]
    assert node.state == "working", "it may still be given a task"
    assert node.look(184, worker=RESTING) == [Kind.STOP_WORKER]
    assert node.state == "leaving"
    assert node.look(186, unit=DOWN) == [Kind.LEAVE]


def test_one_task_begins_the_idle_time_anew():
    node = Node()
    node.watch(0, 170, worker=IDLE)
    node.look(172, worker=BUSY)
    assert node.watch(174, 350, worker=IDLE) == []
    assert node.watch(350, 356, worker=IDLE) == [Kind.RETIRE]


def test_a_worker_that_does_not_speak_is_not_idle():
    node = Node()
    node.watch(0, 100, worker=IDLE)
    assert node.watch(100, 400, worker=worker(age=60), running=1) == []


@pytest.mark.parametrize("group", [AT_MINIMUM, None], ids=["at the minimum", "of unknown size"])
def test_no_worker_leaves_a_group_that_needs_it(group: object):
    node = Node()
    assert node.watch(0, 400, worker=IDLE, group=group) == []
    assert node.state == "working"


def test_an_idle_worker_stays_while_its_queues_hold_work():
    node = Node()
    assert Kind.RETIRE not in node.watch(0, 400, worker=IDLE, queued=3)


def test_a_worker_that_may_not_leave_goes_back_to_work_and_does_not_ask_again_at_once():
    node = Node(LEAVE=REFUSED)
    node.stop_idle()
    assert node.look(184, unit=DOWN) == [Kind.LEAVE]
    assert node.look(186, unit=DOWN) == [Kind.RECALL, Kind.START_WORKER]
    assert "at its minimum" in node.why[-1]
    assert node.watch(188, 480, worker=IDLE) == []
    assert node.watch(480, 490, worker=IDLE) == [Kind.RETIRE]


def test_a_worker_that_was_refused_leaves_when_the_masters_retire_it():
    node = Node(LEAVE=REFUSED)
    node.stop_idle()
    node.watch(184, 186, unit=DOWN)
    assert node.state == "starting", "it was refused"
    assert node.watch(188, 250, worker=IDLE) == []
    assert node.look(252, retired=True, worker=IDLE) == [Kind.RETIRE]
    assert node.watch(254, 258, retired=True, worker=RESTING) == [Kind.STOP_WORKER]


def test_a_throttled_request_to_leave_is_repeated_for_a_minute():
    node = Node(LEAVE=FAILED)
    node.stop_idle()
    asked = node.watch(184, 242, unit=DOWN)
    assert set(asked) == {Kind.LEAVE}
    assert len(asked) <= 12, "not at every look: that keeps a throttled API throttled"
    assert Kind.START_WORKER in node.watch(244, 252, unit=DOWN)
    assert node.state == "starting"


def test_a_group_that_gave_no_answer_is_not_asked_twice():
    node = Node(LEAVE=NO_ANSWER)
    node.stop_idle()
    assert node.watch(184, 242, unit=DOWN) == [Kind.LEAVE], "it may have agreed"
    assert node.watch(244, 246, unit=DOWN) == [Kind.RECALL, Kind.START_WORKER]


def test_a_group_that_agreed_without_an_answer_ends_the_worker():
    node = Node(LEAVE=NO_ANSWER)
    node.stop_idle()
    node.watch(184, 200, unit=DOWN)
    assert node.look(202, unit=DOWN, terminating=True) == [Kind.CONTINUE]


def test_a_refusal_counts_whatever_else_speaks_against_leaving():
    node = Node(LEAVE=REFUSED)
    node.stop_idle()
    node.look(184, unit=DOWN)
    node.look(186, unit=DOWN, group=AT_MINIMUM)
    assert node.watch(188, 480, worker=IDLE) == []


def test_work_in_the_queues_calls_a_leaving_worker_back():
    node = Node()
    assert node.watch(0, 180, worker=IDLE) == [Kind.RETIRE]
    assert node.look(182, worker=RESTING, queued=3) == [Kind.RECALL], "it has not been stopped yet"
    node = Node()
    node.stop_idle()
    assert node.look(184, unit=DOWN, queued=3) == [Kind.RECALL, Kind.START_WORKER]
    assert "3 tasks wait" in node.why[-1]


def test_work_in_the_queues_is_not_a_retired_workers():
    node = Node()
    assert node.watch(0, 2, retired=True, worker=RESTING, queued=3) == [Kind.RETIRE, Kind.STOP_WORKER]
    assert node.look(4, retired=True, unit=DOWN, queued=3) == [Kind.LEAVE]


@pytest.mark.parametrize("late", [worker("etl manual__2 load try 1", rests=True), worker(reserved=1)])
def test_a_worker_that_takes_a_task_in_the_last_moment_goes_back_to_work(late: object):
    node = Node()
    assert node.watch(0, 180, worker=IDLE) == [Kind.RETIRE]
    assert node.look(182, worker=late) == [Kind.RECALL]
    assert "a task came" in node.why[-1]
    assert node.watch(184, 3600) == [], "a stop would have bound it to that task, for hours maybe"
    assert node.watch(3602, 3784, worker=IDLE) == [Kind.RETIRE]


def test_a_retired_worker_that_takes_a_task_in_the_last_moment_stays_retired():
    node = Node()
    assert node.look(0, retired=True, worker=IDLE) == [Kind.RETIRE]
    assert node.watch(2, 600, retired=True, worker=worker("etl manual__2 load try 1", rests=True)) == []
    assert node.state == "retired"
    assert node.look(602, retired=False) == [Kind.RECALL], "it can be called back meanwhile"
    assert node.state == "working"


@pytest.mark.parametrize(
    "said",
    [IDLE, worker(rests=True, age=3), worker(connected=False)],
    ids=["it still consumes", "it said so before it was asked", "it is cut off"],
)
def test_a_worker_is_not_stopped_before_it_says_that_it_rests(said: object):
    node = Node()
    assert node.watch(0, 180, worker=IDLE) == [Kind.RETIRE]
    assert node.look(182, worker=said) == []


def test_a_worker_that_does_not_let_go_of_its_queues_goes_back_to_work_for_a_while():
    node = Node()
    assert node.watch(0, 208, worker=IDLE) == [Kind.RETIRE]
    assert node.watch(210, 212, worker=IDLE) == [Kind.RECALL]
    assert node.watch(214, 500, worker=IDLE) == []


def test_a_leaving_worker_that_is_called_back_works_again():
    node = Node()
    node.watch(0, 2, retired=True, worker=RESTING)
    assert node.state == "leaving"
    assert set(node.watch(4, 8, retired=False, unit=DOWN)) == {Kind.RECALL, Kind.START_WORKER}
    node.look(10)
    assert node.state == "working"
    assert Kind.LEAVE not in node.done


def test_a_group_that_has_shrunk_to_its_minimum_meanwhile_is_not_asked():
    node = Node()
    node.stop_idle()
    assert node.look(184, unit=DOWN, group=AT_MINIMUM) == [Kind.RECALL, Kind.START_WORKER]


def test_an_agreed_departure_that_does_not_happen_is_given_up():
    node = Node()
    node.stop_idle()
    assert node.watch(184, 782, unit=DOWN) == [Kind.LEAVE]
    assert node.watch(784, 800, unit=DOWN) == [Kind.RECALL, Kind.START_WORKER, Kind.START_WORKER]


def test_tasks_of_a_leaving_worker_are_ended_at_the_drain_limit():
    node = Node()
    node.stop_idle()
    late = {"unit": STOPPING, "worker": worker("etl manual__2 load try 1", rests=True)}
    assert node.watch(184, 182 + LIMITS.drain - 2, **late) == []
    assert node.watch(182 + LIMITS.drain, 182 + LIMITS.drain + 12, **late) == [Kind.END_TASKS, Kind.END_TASKS]


def test_the_limit_holds_while_systemd_does_not_answer():
    node = Node()
    node.stop_idle()
    assert node.look(182 + LIMITS.drain, unit=None, running=None) == [Kind.END_TASKS]


def test_the_drain_limit_counts_from_a_leaving_workers_stop():
    node = Node()
    node.stop_idle()
    assert node.life.memory.stopping_since == 182
    late = {"unit": STOPPING, "worker": worker("etl manual__2 load try 1", rests=True)}
    node.watch(184, 3000, **late)
    assert Kind.END_TASKS not in node.watch(3002, 182 + LIMITS.drain - 2, terminating=True, **late)
    assert Kind.END_TASKS in node.look(182 + LIMITS.drain, terminating=True, **late), "systemd counts from there"


def test_a_leaving_worker_is_remembered_over_a_restart_of_the_service():
    node = Node(memory=memory.Memory(stopping_since=100.0, boot_noted=True), now=3000.0)
    assert node.watch(3000, 3698, unit=STOPPING) == []
    assert node.state == "leaving", "nobody may count on it"
    assert node.look(3700, unit=STOPPING) == [Kind.END_TASKS]
    assert node.look(3702, unit=DOWN) == [Kind.LEAVE]


@pytest.mark.parametrize("found", [DOWN, unit()])
def test_a_stop_that_is_over_is_forgotten(found: object):
    node = Node(memory=memory.Memory(stopping_since=100.0, boot_noted=True), now=3000.0)
    node.look(3000, unit=found)
    assert node.life.memory.stopping_since is None
    node.look(5000, terminating=True)
    assert node.life.memory.draining_since == 5000, "its tasks have all their time"


def test_a_worker_that_works_again_has_all_its_time_when_it_drains():
    node = Node(LEAVE=REFUSED)
    node.stop_idle()
    node.watch(184, 186, unit=DOWN)
    node.look(5000, terminating=True)
    assert node.life.memory.draining_since == 5000


def test_a_leaving_worker_drains_once_the_group_ends_it():
    node = Node()
    node.stop_idle()
    node.look(184, unit=DOWN)
    assert node.look(186, unit=DOWN, terminating=True) == [Kind.CONTINUE]
    assert node.state == "ended"


def test_a_worker_that_was_stopped_by_a_service_that_died_is_started():
    node = Node()
    assert node.look(0, unit=DOWN) == [Kind.START_WORKER]
    assert node.watch(2, 8, unit=DOWN) == [], "systemd needs a moment"
    assert node.look(12, unit=DOWN) == [Kind.START_WORKER]


def test_a_worker_that_has_not_been_ready_since_the_boot_is_left_to_the_boot():
    """A step before it has failed, and reports that: a start of the worker would do the step again."""
    node = Node(memory=memory.Memory())
    assert node.watch(0, 60, unit=DOWN) == []
    assert node.look(62) == [Kind.NOTE_BOOT]
    assert node.look(64, unit=DOWN) == [Kind.START_WORKER]


def test_a_worker_whose_start_is_on_its_way_is_left_alone():
    assert Node().watch(0, 60, unit=unit("inactive", has_job=True)) == []


def test_nothing_is_decided_while_systemd_does_not_answer():
    node = Node()
    assert node.watch(0, 400, unit=None, worker=IDLE) == []


def test_a_worker_that_stops_with_the_machine_is_not_started():
    node = Node()
    assert node.watch(0, 60, unit=DOWN, system_stopping=True) == []
    assert node.state == "draining"
