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
    WITHOUT_QUEUES,
    Kind,
    Node,
    PersistedState,
    unit,
    worker,
)

DOWN = unit("inactive")
STOPPING = unit("deactivating", has_job=True)


def test_a_worker_that_has_not_reported_yet_is_starting():
    node = Node()
    assert node.do_pass(0, worker=None) == []
    assert node.state == "starting"
    node.do_pass(2)
    assert node.state == "working"


def test_the_length_of_a_boot_is_recorded_once():
    node = Node(persisted=PersistedState())
    assert node.do_passes(0, 20, worker=None) == []
    assert node.do_passes(20, 40) == [Kind.RECORD_BOOT]
    assert node.machine.persisted.boot_noted, "a restart of the service must not note it again"


def test_a_boot_is_recorded_once_the_registry_can_be_reached():
    node = Node(persisted=PersistedState())
    assert node.do_passes(0, 20, cordoned=None) == []
    assert node.do_pass(22) == [Kind.RECORD_BOOT]


def test_a_boot_that_could_not_be_recorded_is_recorded_later():
    node = Node(persisted=PersistedState(), RECORD_BOOT=FAILED)
    assert node.do_pass(0) == [Kind.RECORD_BOOT]
    node.answers.clear()
    assert node.do_passes(2, 10) == [Kind.RECORD_BOOT]


def test_a_cordoned_worker_takes_no_tasks_until_it_is_uncordoned():
    node = Node()
    assert node.do_pass(0, cordoned=True) == [Kind.CORDON]
    assert node.state == "retired"
    assert node.do_passes(2, 300, cordoned=True) == []
    assert node.do_pass(302, cordoned=False) == [Kind.UNCORDON]
    assert node.state == "working"


@pytest.mark.parametrize("reason", [{"cordoned": True}, {"outlier": "nine of ten tasks failed at once"}])
def test_a_failed_cordon_is_retried(reason: dict[str, Any]):
    node = Node(CORDON=FAILED)
    assert node.do_pass(0, **reason) == [Kind.CORDON]
    node.answers.clear()
    assert node.do_passes(2, 10, **reason) == [Kind.CORDON], "and not repeated once it has worked"


def test_a_cordon_that_the_registry_does_not_confirm_expires_after_a_minute():
    node = Node()
    node.do_pass(0, cordoned=True)
    assert node.do_passes(2, 59, cordoned=None) == [], "a failover of the broker must not change what workers do"
    assert node.do_passes(59, 63, cordoned=None) == [Kind.UNCORDON]
    assert node.state == "working"


def test_a_cordon_survives_a_restart_of_the_service():
    node = Node(cordoned=True)
    assert node.do_passes(0, 20, cordoned=None) == []
    assert node.state == "retired"
    assert node.do_pass(22, cordoned=True) == []


def test_a_cordoned_worker_leaves_as_soon_as_its_last_task_is_finished():
    node = Node()
    node.do_pass(0, cordoned=True)
    assert node.do_pass(2, cordoned=True, worker=worker(reserved=1)) == [], "reserved tasks count, too"
    assert node.do_passes(4, 6, cordoned=True, worker=WITHOUT_QUEUES) == [Kind.STOP_WORKER]
    assert node.state == "leaving"
    assert node.do_pass(7, cordoned=True, unit=STOPPING, worker=WITHOUT_QUEUES) == []
    assert node.do_pass(8, cordoned=True, unit=DOWN) == [Kind.SCALE_IN]
    assert node.do_passes(10, 60, cordoned=True, unit=DOWN) == []
    assert node.state == "leaving"


def test_an_idle_worker_leaves_after_its_pools_idle_time():
    node = Node()
    assert node.do_passes(0, 178, worker=IDLE) == []
    assert node.do_passes(178, 182, worker=IDLE) == [Kind.CORDON]
    assert node.state == "working", "it may still take a task"
    assert node.do_pass(184, worker=WITHOUT_QUEUES) == [Kind.STOP_WORKER]
    assert node.state == "leaving"
    assert node.do_pass(186, unit=DOWN) == [Kind.SCALE_IN]


def test_one_task_restarts_the_idle_time():
    node = Node()
    node.do_passes(0, 170, worker=IDLE)
    node.do_pass(172, worker=BUSY)
    assert node.do_passes(174, 350, worker=IDLE) == []
    assert node.do_passes(350, 356, worker=IDLE) == [Kind.CORDON]


def test_a_worker_that_does_not_report_is_not_idle():
    node = Node()
    node.do_passes(0, 100, worker=IDLE)
    assert node.do_passes(100, 400, worker=worker(age=60), running=1) == []


@pytest.mark.parametrize("group", [AT_MINIMUM, None], ids=["at the minimum", "of unknown size"])
def test_an_idle_worker_stays_in_a_group_that_may_not_shrink(group: object):
    node = Node()
    assert node.do_passes(0, 400, worker=IDLE, group=group) == []
    assert node.state == "working"


def test_an_idle_worker_stays_while_tasks_wait_in_its_queues():
    node = Node()
    assert Kind.CORDON not in node.do_passes(0, 400, worker=IDLE, queued=3)


def test_a_worker_that_is_refused_works_again_and_asks_again_five_minutes_later():
    node = Node(SCALE_IN=REFUSED)
    node.stop_idle()
    assert node.do_pass(184, unit=DOWN) == [Kind.SCALE_IN]
    assert node.do_pass(186, unit=DOWN) == [Kind.UNCORDON, Kind.START_WORKER]
    assert "at its minimum" in node.reasons[-1]
    assert node.do_passes(188, 480, worker=IDLE) == []
    assert node.do_passes(480, 490, worker=IDLE) == [Kind.CORDON]


def test_a_worker_that_was_refused_leaves_when_the_masters_cordon_it():
    node = Node(SCALE_IN=REFUSED)
    node.stop_idle()
    node.do_passes(184, 186, unit=DOWN)
    assert node.state == "starting", "it was refused, and is started again"
    assert node.do_passes(188, 250, worker=IDLE) == []
    assert node.do_pass(252, cordoned=True, worker=IDLE) == [Kind.CORDON]
    assert node.do_passes(254, 258, cordoned=True, worker=WITHOUT_QUEUES) == [Kind.STOP_WORKER]


def test_a_throttled_scale_in_is_retried_for_a_minute():
    node = Node(SCALE_IN=FAILED)
    node.stop_idle()
    asked = node.do_passes(184, 242, unit=DOWN)
    assert set(asked) == {Kind.SCALE_IN}
    assert len(asked) <= 12, "not in every pass: that keeps a throttled API throttled"
    assert Kind.START_WORKER in node.do_passes(244, 252, unit=DOWN)
    assert node.state == "starting"


def test_a_scale_in_without_an_answer_is_not_repeated():
    node = Node(SCALE_IN=NO_ANSWER)
    node.stop_idle()
    assert node.do_passes(184, 242, unit=DOWN) == [Kind.SCALE_IN], "it may have agreed"
    assert node.do_passes(244, 246, unit=DOWN) == [Kind.UNCORDON, Kind.START_WORKER]


def test_a_worker_drains_if_the_group_has_agreed_without_an_answer():
    node = Node(SCALE_IN=NO_ANSWER)
    node.stop_idle()
    node.do_passes(184, 200, unit=DOWN)
    assert node.do_pass(202, unit=DOWN, terminating=True) == [Kind.COMPLETE]


def test_a_worker_that_was_refused_waits_even_if_something_else_objects_as_well():
    node = Node(SCALE_IN=REFUSED)
    node.stop_idle()
    node.do_pass(184, unit=DOWN)
    node.do_pass(186, unit=DOWN, group=AT_MINIMUM)
    assert node.do_passes(188, 480, worker=IDLE) == []


def test_tasks_in_the_queues_end_the_scale_in_of_an_idle_worker():
    node = Node()
    assert node.do_passes(0, 180, worker=IDLE) == [Kind.CORDON]
    assert node.do_pass(182, worker=WITHOUT_QUEUES, queued=3) == [Kind.UNCORDON], "it has not been stopped yet"
    node = Node()
    node.stop_idle()
    assert node.do_pass(184, unit=DOWN, queued=3) == [Kind.UNCORDON, Kind.START_WORKER]
    assert "3 tasks wait" in node.reasons[-1]


def test_tasks_in_the_queues_do_not_keep_a_cordoned_worker():
    node = Node()
    assert node.do_passes(0, 2, cordoned=True, worker=WITHOUT_QUEUES, queued=3) == [Kind.CORDON, Kind.STOP_WORKER]
    assert node.do_pass(4, cordoned=True, unit=DOWN, queued=3) == [Kind.SCALE_IN]


@pytest.mark.parametrize("late", [worker("etl manual__2 load try 1", without_queues=True), worker(reserved=1)])
def test_a_task_that_arrives_before_the_stop_ends_the_scale_in(late: object):
    node = Node()
    assert node.do_passes(0, 180, worker=IDLE) == [Kind.CORDON]
    assert node.do_pass(182, worker=late) == [Kind.UNCORDON]
    assert "a task has arrived" in node.reasons[-1]
    assert node.do_passes(184, 3600) == [], "after a stop it could take no other task until this one ends"
    assert node.do_passes(3602, 3784, worker=IDLE) == [Kind.CORDON]


def test_a_cordoned_worker_to_which_a_task_arrives_before_the_stop_stays_cordoned():
    node = Node()
    assert node.do_pass(0, cordoned=True, worker=IDLE) == [Kind.CORDON]
    assert node.do_passes(2, 600, cordoned=True, worker=worker("etl manual__2 load try 1", without_queues=True)) == []
    assert node.state == "retired"
    assert node.do_pass(602, cordoned=False) == [Kind.UNCORDON], "it can be uncordoned meanwhile"
    assert node.state == "working"


@pytest.mark.parametrize(
    "report",
    [IDLE, worker(without_queues=True, age=3), worker(connected=False)],
    ids=["it still consumes", "its report is older than the cordon", "it has no connection"],
)
def test_a_worker_is_not_stopped_before_it_reports_that_it_consumes_no_queue(report: object):
    node = Node()
    assert node.do_passes(0, 180, worker=IDLE) == [Kind.CORDON]
    assert node.do_pass(182, worker=report) == []


def test_a_worker_that_does_not_let_go_of_its_queues_works_for_five_more_minutes():
    node = Node()
    assert node.do_passes(0, 208, worker=IDLE) == [Kind.CORDON]
    assert node.do_passes(210, 212, worker=IDLE) == [Kind.UNCORDON]
    assert node.do_passes(214, 500, worker=IDLE) == []


def test_a_leaving_worker_that_is_uncordoned_works_again():
    node = Node()
    node.do_passes(0, 2, cordoned=True, worker=WITHOUT_QUEUES)
    assert node.state == "leaving"
    assert set(node.do_passes(4, 8, cordoned=False, unit=DOWN)) == {Kind.UNCORDON, Kind.START_WORKER}
    node.do_pass(10)
    assert node.state == "working"
    assert Kind.SCALE_IN not in node.done


def test_a_group_that_has_reached_its_minimum_meanwhile_is_not_asked():
    node = Node()
    node.stop_idle()
    assert node.do_pass(184, unit=DOWN, group=AT_MINIMUM) == [Kind.UNCORDON, Kind.START_WORKER]


def test_a_scale_in_that_was_agreed_and_does_not_happen_is_given_up_after_ten_minutes():
    node = Node()
    node.stop_idle()
    assert node.do_passes(184, 782, unit=DOWN) == [Kind.SCALE_IN]
    assert node.do_passes(784, 800, unit=DOWN) == [Kind.UNCORDON, Kind.START_WORKER, Kind.START_WORKER]


def test_tasks_of_a_leaving_worker_are_ended_at_the_drain_limit():
    node = Node()
    node.stop_idle()
    late = {"unit": STOPPING, "worker": worker("etl manual__2 load try 1", without_queues=True)}
    assert node.do_passes(184, 182 + LIMITS.drain - 2, **late) == []
    assert node.do_passes(182 + LIMITS.drain, 182 + LIMITS.drain + 12, **late) == [Kind.END_TASKS, Kind.END_TASKS]


def test_the_drain_limit_of_a_leaving_worker_holds_while_systemd_does_not_answer():
    node = Node()
    node.stop_idle()
    assert node.do_pass(182 + LIMITS.drain, unit=None, running=None) == [Kind.END_TASKS]


def test_the_drain_limit_counts_from_a_leaving_workers_stop():
    node = Node()
    node.stop_idle()
    assert node.machine.persisted.stopping_since == 182
    late = {"unit": STOPPING, "worker": worker("etl manual__2 load try 1", without_queues=True)}
    node.do_passes(184, 3000, **late)
    assert Kind.END_TASKS not in node.do_passes(3002, 182 + LIMITS.drain - 2, terminating=True, **late)
    assert Kind.END_TASKS in node.do_pass(182 + LIMITS.drain, terminating=True, **late), "systemd counts from there"


def test_a_scale_in_survives_a_restart_of_the_service():
    node = Node(persisted=PersistedState(stopping_since=100.0, boot_noted=True), now=3000.0)
    assert node.do_passes(3000, 3698, unit=STOPPING) == []
    assert node.state == "leaving", "the masters must not count on it"
    assert node.do_pass(3700, unit=STOPPING) == [Kind.END_TASKS]
    assert node.do_pass(3702, unit=DOWN) == [Kind.SCALE_IN]


@pytest.mark.parametrize("found", [DOWN, unit()])
def test_a_stop_that_is_over_does_not_shorten_a_later_drain(found: object):
    node = Node(persisted=PersistedState(stopping_since=100.0, boot_noted=True), now=3000.0)
    node.do_pass(3000, unit=found)
    assert node.machine.persisted.stopping_since is None
    node.do_pass(5000, terminating=True)
    assert node.machine.persisted.draining_since == 5000, "its tasks have the whole drain limit"


def test_the_drain_limit_of_a_worker_that_works_again_starts_from_zero():
    node = Node(SCALE_IN=REFUSED)
    node.stop_idle()
    node.do_passes(184, 186, unit=DOWN)
    node.do_pass(5000, terminating=True)
    assert node.machine.persisted.draining_since == 5000


def test_a_leaving_worker_drains_when_the_group_ends_it():
    node = Node()
    node.stop_idle()
    node.do_pass(184, unit=DOWN)
    assert node.do_pass(186, unit=DOWN, terminating=True) == [Kind.COMPLETE]
    assert node.state == "ended"


def test_a_worker_that_was_stopped_before_a_restart_of_the_service_is_started():
    node = Node()
    assert node.do_pass(0, unit=DOWN) == [Kind.START_WORKER]
    assert node.do_passes(2, 8, unit=DOWN) == [], "systemd needs a moment"
    assert node.do_pass(12, unit=DOWN) == [Kind.START_WORKER]


def test_a_worker_that_has_not_been_ready_since_the_boot_is_not_started():
    """An earlier step has failed and reports that; a start of the worker would run the step again."""
    node = Node(persisted=PersistedState())
    assert node.do_passes(0, 60, unit=DOWN) == []
    assert node.do_pass(62) == [Kind.RECORD_BOOT]
    assert node.do_pass(64, unit=DOWN) == [Kind.START_WORKER]


def test_a_worker_with_a_job_is_not_started():
    assert Node().do_passes(0, 60, unit=unit("inactive", has_job=True)) == []


def test_nothing_is_decided_while_systemd_does_not_answer():
    node = Node()
    assert node.do_passes(0, 400, unit=None, worker=IDLE) == []


def test_a_worker_that_stops_with_the_machine_is_not_started():
    node = Node()
    assert node.do_passes(0, 60, unit=DOWN, system_stopping=True) == []
    assert node.state == "draining"
