"""The soak test reports each kind of fault, and nothing else."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from bench.soak.accounts import Accounts, Reclaim, account_for, percentile
from lab.execution_log import Execution
from lab.workload import Task, Try

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RECLAIM = Reclaim(address="10.0.0.1", begin=NOON, end=NOON + timedelta(minutes=3))


def task(*, state: str = "success", tries: int = 1) -> Task:
    return Task(
        run="soak-1",
        dag="python_heavy",
        state=state,
        tries=tries,
        address="10.0.0.2",
        queued=NOON,
        started=NOON,
        ended=NOON,
        sent=True,
    )


def executions(*tries: int) -> Counter[Execution]:
    return Counter(
        Execution(dag_id="python_heavy", run_id="soak-1", task_id="work", map_index=-1, try_number=number)
        for number in tries
    )


def reckoned(tasks: list[Task], log: Counter[Execution], *, earlier: tuple[Try, ...] = ()) -> Accounts:
    return account_for(["soak-1"], tasks, earlier, log, [RECLAIM])


def first_try(*, address: str = RECLAIM.address, minutes: float = 1) -> Try:
    return Try(run="soak-1", number=1, address=address, ended=NOON + timedelta(minutes=minutes))


def test_a_task_that_succeeded_once_is_clean():
    assert reckoned([task()], executions(1)).clean


def test_a_task_that_a_reclaimed_instance_could_not_finish_may_be_tried_again():
    accounts = reckoned([task(tries=2)], executions(1, 2), earlier=(first_try(),))
    assert accounts.clean
    assert (accounts.retried, accounts.executions) == (1, 2)


@pytest.mark.parametrize(
    ("tasks", "log", "fault"),
    [
        pytest.param([task(state="failed")], executions(1), "failed", id="a failed task"),
        pytest.param([task(state="queued")], executions(), "lost", id="a task that never ran"),
        pytest.param([], executions(), "lost", id="a task that the database has forgotten"),
        pytest.param([task()], executions(), "lost", id="a success without an execution"),
        pytest.param([task(tries=2)], executions(1), "lost", id="a success whose last try was not executed"),
        pytest.param([task()], executions(1, 1), "doubled", id="a try that was executed twice"),
    ],
)
def test_a_fault_is_found(tasks: list[Task], log: Counter[Execution], fault: str):
    accounts = reckoned(tasks, log)
    faults = {name: getattr(accounts, name) for name in ("failed", "lost", "doubled", "disturbed")}
    assert faults == {"failed": (), "lost": (), "doubled": (), "disturbed": ()} | {fault: ("soak-1",)}
    assert not accounts.clean


@pytest.mark.parametrize(
    "earlier",
    [
        pytest.param(first_try(address="10.0.0.3"), id="on another worker"),
        pytest.param(first_try(minutes=4), id="after the instance was gone"),
        pytest.param(first_try(minutes=-1), id="before the notice"),
    ],
)
def test_a_task_that_was_tried_again_without_a_reclaim_is_disturbed(earlier: Try):
    assert reckoned([task(tries=2)], executions(1, 2), earlier=(earlier,)).disturbed == ("soak-1",)


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.95, 10), (0.0, 1), (1.0, 10)])
def test_a_percentile_is_one_of_the_values(share: float, value: float):
    assert percentile(range(1, 11), share) == value
