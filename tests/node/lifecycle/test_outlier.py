from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.node.programs import module

outlier = module("lifecycle.outlier")


def tasks(failed_at_once: int, others: int) -> Any:
    return SimpleNamespace(failed_at_once=failed_at_once, others=others)


def test_a_worker_whose_tasks_fail_while_the_neighbours_do_not_is_at_fault():
    assert outlier.reason(tasks(12, 2), [tasks(0, 9), tasks(1, 10)]) == (
        "12 of its last 14 tasks failed at once, and 1 of 20 on the other workers of its pool"
    )


@pytest.mark.parametrize(
    ("own", "neighbours"),
    [
        pytest.param(tasks(12, 2), [tasks(9, 1), tasks(10, 0)], id="tasks fail alike everywhere"),
        pytest.param(tasks(12, 2), [], id="it is the only one of its pool"),
        pytest.param(tasks(12, 2), [tasks(0, 2), tasks(0, 2)], id="the others have hardly had a task"),
        pytest.param(tasks(12, 2), [tasks(3, 17)], id="the others' tasks fail now and then"),
        pytest.param(tasks(4, 0), [tasks(0, 100)], id="a few failures may be chance"),
        pytest.param(tasks(12, 13), [tasks(0, 100)], id="most of its tasks work"),
        pytest.param(tasks(0, 0), [tasks(0, 0)], id="nobody has had a task"),
    ],
)
def test_a_worker_is_not_at_fault_when(own: Any, neighbours: list[Any]):
    assert outlier.reason(own, neighbours) is None
