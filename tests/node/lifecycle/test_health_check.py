from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.node.lifecycle.node_of import (
    AT_MINIMUM,
    BUSY,
    FAILED,
    IDLE,
    REFUSED,
    RESTING,
    Kind,
    Node,
    memory,
    pressure,
    unit,
    worker,
)

SILENT = worker(age=60.0)
CUT_OFF = worker(connected=False)
FULL = {"resources": (pressure.Resource(name="the disk at /", free=0, size=50 << 30, reserve=2 << 30),)}


def test_a_deaf_worker_is_restarted_after_a_minute():
    node = Node()
    assert node.watch(0, 58, worker=IDLE, queued=4) == []
    assert node.watch(58, 62, worker=IDLE, queued=4) == [Kind.RESTART_WORKER]
    assert node.why[-1].startswith("tasks wait in its queues")


def test_a_worker_that_takes_a_task_is_not_deaf():
    node = Node()
    node.watch(0, 50, worker=IDLE, queued=4)
    node.look(52, worker=BUSY, queued=4)
    assert node.watch(54, 112, worker=IDLE, queued=4) == []


def test_a_worker_whose_slots_are_full_is_not_deaf():
    node = Node()
    full = worker(*(f"etl manual__{number} load try 1" for number in range(4)))
    assert node.watch(0, 600, worker=full, queued=400) == []
    assert node.state == "working"


def test_a_worker_that_takes_one_task_after_the_other_is_not_deaf():
    node = Node()
    for number in range(10):
        node.watch(60 * number, 60 * number + 58, worker=worker(f"etl manual__{number} load try 1"), queued=400)
        assert node.state == "working"


def test_a_busy_worker_that_is_deaf_says_so_and_is_restarted_when_its_last_task_has_ended():
    node = Node()
    assert node.watch(0, 58, queued=3) == []
    assert node.state == "working"
    assert node.watch(58, 62, queued=3) == []
    assert node.state == "not-consuming"
    assert node.life.trouble.startswith("tasks wait in its queues")
    assert node.watch(64, 3600, queued=0) == [], "another worker has taken them"
    assert node.state == "not-consuming"
    assert node.watch(3602, 3604, worker=IDLE, running=1) == [], "it reports how the task ended"
    assert node.look(3606, worker=IDLE) == [Kind.RESTART_WORKER]
    assert node.watch(3608, 3900, worker=IDLE, group=AT_MINIMUM) == []
    assert node.state == "working"


def test_a_deaf_worker_that_takes_a_task_is_at_work_again():
    node = Node()
    node.watch(0, 62, queued=3)
    assert node.state == "not-consuming"
    node.look(64, worker=worker("etl manual__1 load try 1", "etl manual__2 load try 1"), queued=2)
    assert node.state == "working"


@pytest.mark.parametrize("busy", [worker("etl manual__1 load try 1", connected=False), worker("x", rests=True)])
def test_a_busy_worker_without_queues_says_so_and_is_restarted_when_its_last_task_has_ended(busy: Any):
    node = Node()
    assert node.watch(0, 58, worker=busy, queued=3) == []
    assert node.state == "working", "it may be about to connect anew"
    assert node.watch(58, 800, worker=busy, queued=3) == []
    assert node.state == "not-consuming"
    idle = replace(busy, tasks=())
    assert node.watch(802, 804, worker=idle, queued=3) == [Kind.RESTART_WORKER]
    assert node.state == "working", "until it is ready, it is starting"


def test_a_worker_that_has_its_queues_back_is_at_work_again():
    node = Node()
    node.watch(0, 62, worker=worker("x", connected=False))
    assert node.state == "not-consuming"
    node.look(64)
    assert node.state == "working"


def test_a_worker_that_is_not_wanted_may_be_without_queues():
    node = Node(retired=True)
    node.watch(0, 600, worker=worker("x", rests=True), retired=True, queued=3)
    assert node.state == "retired"


def test_the_broker_being_away_is_not_the_workers_fault():
    node = Node()
    node.watch(0, 600, worker=worker("x", connected=False), retired=None, group=None, queued=None)
    assert node.state == "working", "nobody could read it anyway"


def test_a_draining_worker_does_not_have_to_consume():
    node = Node()
    node.watch(0, 62, worker=worker("x", connected=False))
    node.look(64, worker=worker("x", connected=False), terminating=True)
    assert node.state == "draining"


def test_a_retired_worker_may_let_its_queue_be():
    node = Node(retired=True, LEAVE=REFUSED)
    node.watch(0, 2, retired=True, worker=RESTING)
    node.watch(4, 6, retired=True, unit=unit("inactive"))
    assert node.state == "starting"
    assert node.watch(8, 280, retired=True, worker=IDLE, queued=4) == [], "it was told to take nothing"


def test_a_restarted_worker_gets_the_time_again():
    node = Node()
    assert node.watch(0, 600, worker=CUT_OFF, group=AT_MINIMUM).count(Kind.RESTART_WORKER) == 9


def test_a_silent_worker_is_restarted_when_nothing_runs_on_it():
    node = Node()
    assert node.watch(0, 58, worker=SILENT) == []
    assert node.watch(58, 64, worker=SILENT) == [Kind.RESTART_WORKER]


def test_a_silent_worker_whose_tasks_run_is_left_alone():
    node = Node()
    assert node.watch(0, 3600, worker=SILENT, running=1) == []
    assert node.state == "not-consuming", "the masters need another one"
    assert node.watch(3602, 7200, worker=SILENT, running=None) == [], "what cannot be told counts as running"


def test_a_worker_that_does_not_find_back_to_its_broker_is_restarted():
    node = Node()
    assert node.watch(0, 58, worker=CUT_OFF) == []
    assert node.watch(58, 64, worker=CUT_OFF) == [Kind.RESTART_WORKER]


def test_a_node_that_loses_the_broker_is_replaced_after_a_quarter_of_an_hour():
    node = Node()
    facts = {"worker": CUT_OFF, "retired": None, "group": None, "queued": None}
    assert node.watch(0, 898, **facts) == [], "no restart helps against a broker that is away"
    assert node.watch(898, 904, **facts) == [Kind.REPORT_UNHEALTHY]


def test_a_node_that_loses_the_broker_keeps_its_tasks():
    node = Node()
    busy = worker("etl manual__1 load try 1", connected=False)
    assert node.watch(0, 3600, worker=busy, retired=None, group=None, queued=None) == []
    facts = {"worker": CUT_OFF, "retired": None, "group": None, "queued": None}
    assert node.watch(3602, 3604, **facts) == [Kind.REPORT_UNHEALTHY], "they were what it was kept for"


def test_a_worker_that_does_not_become_ready_again_is_replaced_after_ten_minutes():
    node = Node()
    assert node.watch(0, 598, worker=None, unit=unit("activating")) == []
    assert node.watch(598, 604, worker=None, unit=unit("activating")) == [Kind.REPORT_UNHEALTHY]
    assert node.watch(606, 3600, worker=None) == [], "the group knows"
    node.look(3602)
    assert node.watch(3604, 4202, worker=None) == []
    assert node.watch(4202, 4206, worker=None) == [Kind.REPORT_UNHEALTHY], "this is another time"


def test_a_report_that_failed_is_repeated():
    node = Node(REPORT_UNHEALTHY=FAILED)
    facts = {"worker": CUT_OFF, "retired": None, "group": None, "queued": None}
    assert node.watch(0, 1510, **facts) == [Kind.REPORT_UNHEALTHY] * 3
    node.answers.clear()
    assert node.watch(1512, 3600, **facts) == [Kind.REPORT_UNHEALTHY]


def test_a_node_that_still_boots_is_the_boots_business():
    node = Node(memory=memory.Memory())
    silent = {"worker": None, "unit": unit("activating")}
    assert node.watch(0, 1200, **silent) == [], "its launch is abandoned, which says more than an unhealthy instance"
    assert node.look(1202) == [Kind.NOTE_BOOT]
    assert node.watch(1204, 1802, **silent) == []
    assert node.watch(1802, 1806, **silent) == [Kind.REPORT_UNHEALTHY]


def test_a_worker_cannot_become_ready_without_a_broker_and_is_given_longer():
    node = Node()
    facts = {"worker": None, "retired": None, "group": None, "queued": None}
    assert node.watch(0, 898, **facts) == []
    assert node.watch(898, 904, **facts) == [Kind.REPORT_UNHEALTHY]


def test_a_worker_without_room_takes_no_more_tasks_and_finishes_those_it_has():
    node = Node()
    assert node.watch(0, 8, **FULL) == []
    assert node.watch(10, 4000, **FULL) == [Kind.RETIRE], "a task runs, so nothing else is done"
    assert node.state == "unavailable"
    assert node.why[-1].startswith("the disk at / has 0.00 GiB of 50.00 GiB left")


def test_a_worker_that_has_room_again_goes_back_to_work():
    node = Node()
    node.watch(0, 10, **FULL)
    assert node.watch(12, 42) == [Kind.RECALL]
    assert node.state == "working"


def test_a_worker_without_room_is_restarted_once_and_then_replaced():
    """A restart of its service empties its temporary folders and removes most of what ended tasks have left."""
    node = Node()
    facts = FULL | {"worker": RESTING, "group": AT_MINIMUM}
    assert node.watch(0, 68, **facts) == [Kind.RETIRE]
    assert node.watch(70, 608, **facts) == [Kind.RESTART_WORKER]
    assert node.watch(610, 3000, **facts) == [Kind.REPORT_UNHEALTHY]
    assert node.why[-1].startswith("it has taken no tasks for 600 s: the disk at /")


def test_a_worker_that_the_masters_call_back_stays_out_of_work_without_room():
    node = Node(retired=True)
    assert node.watch(0, 10, retired=True, **FULL) == []
    assert node.state == "unavailable"
    assert node.look(12, retired=False, **FULL) == []
    assert node.watch(14, 44) == [Kind.RECALL]


def test_a_worker_without_room_that_may_not_leave_takes_no_tasks():
    node = Node(LEAVE=REFUSED)
    node.stop_idle()
    node.watch(184, 186, unit=unit("inactive"), **FULL)
    assert node.watch(188, 220, worker=IDLE, **FULL) == [Kind.RETIRE]
    assert node.state == "unavailable"


def test_an_outlier_takes_no_more_tasks_and_is_replaced_when_its_last_one_has_ended():
    """No task fails on it any more, so it would not be found at fault again."""
    node = Node()
    assert node.look(0, outlier="12 of its last 14 tasks failed at once") == [Kind.RETIRE]
    assert node.state == "unavailable"
    assert node.watch(2, 700) == [], "a task runs"
    facts = {"worker": RESTING, "group": AT_MINIMUM}
    assert node.watch(702, 800, **facts) == [Kind.REPORT_UNHEALTHY]
    assert node.why[-1].endswith(": 12 of its last 14 tasks failed at once")
