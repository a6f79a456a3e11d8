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
    WITHOUT_QUEUES,
    Kind,
    Node,
    PersistedState,
    resources,
    unit,
    worker,
)

SILENT = worker(age=60.0)
CUT_OFF = worker(connected=False)
FULL = {"resources": (resources.Resource(name="the disk at /", free=0, size=50 << 30, reserve=2 << 30),)}


def test_a_worker_that_ignores_waiting_tasks_is_restarted_after_a_minute():
    node = Node()
    assert node.do_passes(0, 58, worker=IDLE, queued=4) == []
    assert node.do_passes(58, 62, worker=IDLE, queued=4) == [Kind.RESTART_WORKER]
    assert node.reasons[-1].startswith("tasks wait in its queues")


def test_a_worker_that_takes_a_task_is_not_restarted():
    node = Node()
    node.do_passes(0, 50, worker=IDLE, queued=4)
    node.do_pass(52, worker=BUSY, queued=4)
    assert node.do_passes(54, 112, worker=IDLE, queued=4) == []


def test_a_worker_without_a_free_slot_is_not_restarted():
    node = Node()
    full = worker(*(f"etl manual__{number} load try 1" for number in range(4)))
    assert node.do_passes(0, 600, worker=full, queued=400) == []
    assert node.state == "working"


def test_a_worker_that_takes_one_task_after_the_other_is_not_restarted():
    node = Node()
    for number in range(10):
        node.do_passes(60 * number, 60 * number + 58, worker=worker(f"etl manual__{number} load try 1"), queued=400)
        assert node.state == "working"


def test_a_busy_worker_that_ignores_waiting_tasks_is_restarted_after_its_last_task():
    node = Node()
    assert node.do_passes(0, 58, queued=3) == []
    assert node.state == "working"
    assert node.do_passes(58, 62, queued=3) == []
    assert node.state == "not-consuming"
    assert node.machine.problem.startswith("tasks wait in its queues")
    assert node.do_passes(64, 3600, queued=0) == [], "another worker has taken them"
    assert node.state == "not-consuming"
    assert node.do_passes(3602, 3604, worker=IDLE, running=1) == [], "it reports how the task ended"
    assert node.do_pass(3606, worker=IDLE) == [Kind.RESTART_WORKER]
    assert node.do_passes(3608, 3900, worker=IDLE, group=AT_MINIMUM) == []
    assert node.state == "working"


def test_a_worker_that_ignored_tasks_and_takes_one_works_again():
    node = Node()
    node.do_passes(0, 62, queued=3)
    assert node.state == "not-consuming"
    node.do_pass(64, worker=worker("etl manual__1 load try 1", "etl manual__2 load try 1"), queued=2)
    assert node.state == "working"


@pytest.mark.parametrize(
    "busy", [worker("etl manual__1 load try 1", connected=False), worker("x", without_queues=True)]
)
def test_a_busy_worker_without_queues_is_not_consuming_and_is_restarted_after_its_last_task(busy: Any):
    node = Node()
    assert node.do_passes(0, 58, worker=busy, queued=3) == []
    assert node.state == "working", "it may be about to reconnect"
    assert node.do_passes(58, 800, worker=busy, queued=3) == []
    assert node.state == "not-consuming"
    idle = replace(busy, tasks=())
    assert node.do_passes(802, 804, worker=idle, queued=3) == [Kind.RESTART_WORKER]
    assert node.state == "working", "until it is ready, it is starting"


def test_a_worker_that_consumes_its_queues_again_works_again():
    node = Node()
    node.do_passes(0, 62, worker=worker("x", connected=False))
    assert node.state == "not-consuming"
    node.do_pass(64)
    assert node.state == "working"


def test_a_cordoned_worker_may_consume_no_queue():
    node = Node(cordoned=True)
    node.do_passes(0, 600, worker=worker("x", without_queues=True), cordoned=True, queued=3)
    assert node.state == "retired"


def test_a_worker_is_not_restarted_while_the_broker_is_away():
    node = Node()
    node.do_passes(0, 600, worker=worker("x", connected=False), cordoned=None, group=None, queued=None)
    assert node.state == "working", "the registry could not be read anyway"


def test_a_draining_worker_need_not_consume():
    node = Node()
    node.do_passes(0, 62, worker=worker("x", connected=False))
    node.do_pass(64, worker=worker("x", connected=False), terminating=True)
    assert node.state == "draining"


def test_a_cordoned_worker_may_take_no_task_from_its_queue():
    node = Node(cordoned=True, SCALE_IN=REFUSED)
    node.do_passes(0, 2, cordoned=True, worker=WITHOUT_QUEUES)
    node.do_passes(4, 6, cordoned=True, unit=unit("inactive"))
    assert node.state == "starting"
    assert node.do_passes(8, 280, cordoned=True, worker=IDLE, queued=4) == [], "it is cordoned"


def test_a_restarted_worker_has_another_minute():
    node = Node()
    assert node.do_passes(0, 600, worker=CUT_OFF, group=AT_MINIMUM).count(Kind.RESTART_WORKER) == 9


def test_a_worker_that_does_not_report_is_restarted_when_no_task_runs_on_it():
    node = Node()
    assert node.do_passes(0, 58, worker=SILENT) == []
    assert node.do_passes(58, 64, worker=SILENT) == [Kind.RESTART_WORKER]


def test_a_worker_that_does_not_report_is_not_restarted_while_tasks_run_on_it():
    node = Node()
    assert node.do_passes(0, 3600, worker=SILENT, running=1) == []
    assert node.state == "not-consuming", "the masters need another one"
    assert node.do_passes(3602, 7200, worker=SILENT, running=None) == [], "an unknown number of tasks counts as running"


def test_a_worker_that_does_not_reconnect_to_the_broker_is_restarted():
    node = Node()
    assert node.do_passes(0, 58, worker=CUT_OFF) == []
    assert node.do_passes(58, 64, worker=CUT_OFF) == [Kind.RESTART_WORKER]


def test_a_node_that_loses_the_broker_is_replaced_after_a_quarter_of_an_hour():
    node = Node()
    fields = {"worker": CUT_OFF, "cordoned": None, "group": None, "queued": None}
    assert node.do_passes(0, 898, **fields) == [], "a restart does not help during an outage of the broker"
    assert node.do_passes(898, 904, **fields) == [Kind.REPORT_UNHEALTHY]


def test_a_node_that_loses_the_broker_keeps_its_tasks():
    node = Node()
    busy = worker("etl manual__1 load try 1", connected=False)
    assert node.do_passes(0, 3600, worker=busy, cordoned=None, group=None, queued=None) == []
    fields = {"worker": CUT_OFF, "cordoned": None, "group": None, "queued": None}
    assert node.do_passes(3602, 3604, **fields) == [Kind.REPORT_UNHEALTHY], "they were what it was kept for"


def test_a_worker_that_does_not_become_ready_again_is_replaced_after_ten_minutes():
    node = Node()
    assert node.do_passes(0, 598, worker=None, unit=unit("activating")) == []
    assert node.do_passes(598, 604, worker=None, unit=unit("activating")) == [Kind.REPORT_UNHEALTHY]
    assert node.do_passes(606, 3600, worker=None) == [], "the group knows"
    node.do_pass(3602)
    assert node.do_passes(3604, 4202, worker=None) == []
    assert node.do_passes(4202, 4206, worker=None) == [Kind.REPORT_UNHEALTHY], "this is another time"


def test_a_report_to_the_group_that_failed_is_retried():
    node = Node(REPORT_UNHEALTHY=FAILED)
    fields = {"worker": CUT_OFF, "cordoned": None, "group": None, "queued": None}
    assert node.do_passes(0, 1510, **fields) == [Kind.REPORT_UNHEALTHY] * 3
    node.answers.clear()
    assert node.do_passes(1512, 3600, **fields) == [Kind.REPORT_UNHEALTHY]


def test_a_node_that_has_not_booted_does_not_report_itself():
    node = Node(persisted=PersistedState())
    silent = {"worker": None, "unit": unit("activating")}
    assert node.do_passes(0, 1200, **silent) == [], "the boot abandons the launch, which gives the reason"
    assert node.do_pass(1202) == [Kind.RECORD_BOOT]
    assert node.do_passes(1204, 1802, **silent) == []
    assert node.do_passes(1802, 1806, **silent) == [Kind.REPORT_UNHEALTHY]


def test_a_worker_that_starts_without_a_broker_has_a_quarter_of_an_hour():
    node = Node()
    fields = {"worker": None, "cordoned": None, "group": None, "queued": None}
    assert node.do_passes(0, 898, **fields) == []
    assert node.do_passes(898, 904, **fields) == [Kind.REPORT_UNHEALTHY]


def test_a_worker_that_is_short_of_disk_takes_no_more_tasks_and_finishes_the_others():
    node = Node()
    assert node.do_passes(0, 8, **FULL) == []
    assert node.do_passes(10, 4000, **FULL) == [Kind.CORDON], "a task runs, so nothing else is done"
    assert node.state == "unavailable"
    assert node.reasons[-1].startswith("the disk at / has 0.00 GiB of 50.00 GiB left")


def test_a_worker_whose_disk_has_space_again_works_again():
    node = Node()
    node.do_passes(0, 10, **FULL)
    assert node.do_passes(12, 42) == [Kind.UNCORDON]
    assert node.state == "working"


def test_an_unavailable_worker_is_restarted_once_and_then_replaced():
    """A restart of its service empties its temporary folders and removes most of what ended tasks have left."""
    node = Node()
    fields = FULL | {"worker": WITHOUT_QUEUES, "group": AT_MINIMUM}
    assert node.do_passes(0, 68, **fields) == [Kind.CORDON]
    assert node.do_passes(70, 608, **fields) == [Kind.RESTART_WORKER]
    assert node.do_passes(610, 3000, **fields) == [Kind.REPORT_UNHEALTHY]
    assert node.reasons[-1].startswith("it has taken no tasks for 600 s: the disk at /")


def test_a_worker_that_is_uncordoned_while_short_of_disk_stays_unavailable():
    node = Node(cordoned=True)
    assert node.do_passes(0, 10, cordoned=True, **FULL) == []
    assert node.state == "unavailable"
    assert node.do_pass(12, cordoned=False, **FULL) == []
    assert node.do_passes(14, 44) == [Kind.UNCORDON]


def test_an_unavailable_worker_whose_scale_in_is_refused_takes_no_tasks():
    node = Node(SCALE_IN=REFUSED)
    node.stop_idle()
    node.do_passes(184, 186, unit=unit("inactive"), **FULL)
    assert node.do_passes(188, 220, worker=IDLE, **FULL) == [Kind.CORDON]
    assert node.state == "unavailable"


def test_an_outlier_takes_no_more_tasks_and_is_replaced_after_its_last_one():
    """No task fails on it any more, so it would not be detected as an outlier again."""
    node = Node()
    assert node.do_pass(0, outlier="12 of its last 14 tasks failed at once") == [Kind.CORDON]
    assert node.state == "unavailable"
    assert node.do_passes(2, 700) == [], "a task runs"
    fields = {"worker": WITHOUT_QUEUES, "group": AT_MINIMUM}
    assert node.do_passes(702, 800, **fields) == [Kind.REPORT_UNHEALTHY]
    assert node.reasons[-1].endswith(": 12 of its last 14 tasks failed at once")
