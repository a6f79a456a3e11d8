"""How many tasks fit a worker's memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.roles import MASTERS, worker_group
from settings import WorkerPoolSettings
from settings.errors import FaultyValue
from settings.task_slots import WORKER_GIB, fitting
from tests.stack_file import REMOVED, changed, load


def pool(**measure: float) -> WorkerPoolSettings:
    return WorkerPoolSettings.model_validate(
        {"queues": ["q"], "instance_types": ["m7i.xlarge", "t3.large"], "min_size": 0, "max_size": 1, **measure}
    )


@pytest.mark.parametrize(
    ("memory", "task", "slots"),
    [
        (16, 1, 15),
        (16, 15.5, 1),
        (16, 15.6, 0),
        (0.5, 1, 0),
        (0.25, 0.1, 0),
        (4, 0.7, 5),
        # 7.5 / 0.3 and 1.5 / 0.1 are less than 25 and 15 for some computers.
        (8, 0.3, 25),
        (2, 0.1, 15),
    ],
)
def test_as_many_tasks_run_as_fit_beside_the_worker(memory: float, task: float, slots: int):
    assert fitting(memory, task) == slots


@given(st.floats(0.5, 2000), st.floats(0.1, 1536))
def test_tasks_never_take_more_than_the_worker_leaves(memory: float, task: float):
    slots = fitting(memory, task)
    assert slots * task <= (memory - WORKER_GIB) * (1 + 1e-9)
    assert (slots + 1) * task > (memory - WORKER_GIB) * (1 - 1e-9)


def test_the_smallest_type_decides():
    assert pool(task_memory_gib=2).task_slots == 3, "8 GiB of t3.large, not 16 of m7i.xlarge"


def test_concurrency_is_the_number_of_task_slots():
    assert pool(concurrency=7).task_slots == 7


@pytest.mark.parametrize("measure", [{}, {"concurrency": 1, "task_memory_gib": 1}, {"task_memory_gib": 8}])
def test_faulty_values_give_no_number_of_task_slots(measure: dict[str, float]):
    with pytest.raises(FaultyValue):
        _ = pool(**measure).task_slots


def test_nodes_database_and_schedulers_use_the_number_of_tasks_that_fit():
    measure = {"airflow:workerPools.default.concurrency": REMOVED, "airflow:workerPools.default.taskMemoryGib": 3}
    settings = load(changed(measure))  # 15.5 GiB: 5 tasks
    worker, master = (
        settings.node_environment(worker_group("default")).variables(),
        settings.node_environment(MASTERS).variables(),
    )
    assert worker["NODE_CONCURRENCY"] == worker["AIRFLOW__CELERY__WORKER_CONCURRENCY"] == "5"
    assert '"concurrency":5' in master["NODE_POOLS"]
    assert master["AIRFLOW__CORE__PARALLELISM"] == str(8 * 5 + 4 * 4)
