"""The rules of the worker pools and their queues."""

from __future__ import annotations

import pytest

from tests.stack_file import REMOVED, faults_of, the_fault


def test_min_above_max_is_refused():
    fault = the_fault({"airflow:workerPools.default.minSize": 9})
    assert fault.key == "airflow:workerPools.default.minSize"
    assert fault.given == "9, above maxSize 8"


def test_instance_types_of_one_pool_share_an_architecture():
    fault = the_fault({"airflow:workerPools.default.instanceTypes": ["m7i.xlarge", "m7g.xlarge", "m8g.xlarge"]})
    assert fault.key == "airflow:workerPools.default.instanceTypes"
    assert fault.given == "amd64: m7i.xlarge; arm64: m7g.xlarge, m8g.xlarge"


def test_tasks_fit_the_memory_of_the_smallest_type():
    changes = {
        "airflow:workerPools.default.instanceTypes": ["t3.medium", "m7i.xlarge"],
        "airflow:workerPools.default.concurrency": 40,
        "airflow:database.instanceClass": "db.m7g.xlarge",
    }
    fault = the_fault(changes)
    assert fault.key == "airflow:workerPools.default.concurrency"
    assert fault.given == "40 tasks on t3.medium, 4 GiB of memory"
    assert fault.remedy == "lower concurrency to at most 35, or use larger instance types"
    assert faults_of({**changes, "airflow:workerPools.default.concurrency": 35}) == ()


def test_the_remedy_for_a_type_too_small_for_any_task_is_not_to_run_fewer():
    changes = {"airflow:workerPools.default.instanceTypes": ["t3.nano"], "airflow:workerPools.default.concurrency": 1}
    assert the_fault(changes).remedy == "use larger instance types"


def test_types_whose_memory_does_not_follow_from_their_name_are_accepted():
    assert faults_of({"airflow:workerPools.default.instanceTypes": ["g5.xlarge"]}) == ()


def by_memory(gib: object, *types: str) -> dict[str, object]:
    """The change of the default pool to tasks of this memory, on these instance types."""
    changes: dict[str, object] = {
        "airflow:workerPools.default.concurrency": REMOVED,
        "airflow:workerPools.default.taskMemoryGib": gib,
    }
    return changes | ({"airflow:workerPools.default.instanceTypes": list(types)} if types else {})


def test_concurrency_together_with_task_memory_is_refused():
    fault = the_fault({"airflow:workerPools.default.taskMemoryGib": 1.5})
    assert fault.key == "airflow:workerPools.default.concurrency"
    assert fault.given == "concurrency: 16 and taskMemoryGib: 1.5"
    assert fault.remedy == "remove one of them"
    assert faults_of(by_memory(1.5)) == ()


def test_a_pool_without_concurrency_and_task_memory_is_refused():
    fault = the_fault({"airflow:workerPools.default.concurrency": REMOVED})
    assert fault.key == "airflow:workerPools.default.concurrency"
    assert fault.given == "neither concurrency nor taskMemoryGib"
    assert fault.remedy == "add one of them"


def test_a_tasks_memory_fits_the_smallest_type():
    fault = the_fault(by_memory(8, "m7i.xlarge", "t3.large"))
    assert fault.key == "airflow:workerPools.default.taskMemoryGib"
    assert fault.given == "8 on t3.large, 8 GiB of memory: 0 tasks"
    assert fault.remedy == "lower taskMemoryGib to at most 7.5, or use larger instance types"
    assert faults_of(by_memory(7.5, "m7i.xlarge", "t3.large")) == ()


def test_task_memory_requires_types_whose_memory_follows_from_their_name():
    fault = the_fault(by_memory(2, "m7i.xlarge", "g5.xlarge"))
    assert fault.key == "airflow:workerPools.default.taskMemoryGib"
    assert fault.given == "2, with g5.xlarge"
    assert fault.remedy == "set concurrency instead of taskMemoryGib, or use other types"


def test_a_task_memory_with_too_many_tasks_per_worker_is_refused():
    fault = the_fault(by_memory(0.1, "m7i.24xlarge"))
    assert fault.given == "0.1 on m7i.24xlarge, 384 GiB of memory: 3,835 tasks"
    assert fault.remedy == "use smaller instance types, or raise taskMemoryGib"


@pytest.mark.parametrize("key", ["onDemandBase", "workersAhead"])
def test_a_part_of_the_workers_above_max_size_is_refused(key: str):
    fault = the_fault({f"airflow:workerPools.default.{key}": 9})
    assert fault.key == f"airflow:workerPools.default.{key}"
    assert fault.given == "9, above maxSize 8"
    assert faults_of({f"airflow:workerPools.default.{key}": 8}) == ()


def test_all_faults_of_a_pool_that_scales_badly_are_reported_at_once():
    scaling = {
        "concurrency": 0,
        "minSize": 9,
        "drainLimitHours": 48,
        "idleSeconds": 9,
        "spotPercent": 101,
        "onDemandBase": 9,
        "workersAhead": 9,
        "queues": [],
        "instanceTypes": ["m7i.xlarge", "m7g.xlarge"],
    }
    faults = faults_of({f"airflow:workerPools.default.{key}": value for key, value in scaling.items()})
    of_pool = {fault.key.removeprefix("airflow:workerPools.default.") for fault in faults}
    assert scaling.keys() <= of_pool
    assert all(fault.given and fault.allowed and fault.remedy for fault in faults)


def test_a_queue_belongs_to_one_pool():
    fault = the_fault({"airflow:workerPools.heavy.queues": ["heavy", "default"]})
    assert fault.key == "airflow:workerPools.heavy.queues"
    assert fault.given == '"default", which the pool default also serves'
    assert "remove default from one of default, heavy" in fault.remedy


def test_a_pool_without_queues_does_not_hide_a_queue_that_two_others_serve():
    pool = {"instanceTypes": ["r7i.xlarge"], "concurrency": 1, "minSize": 0, "maxSize": 1}
    added = {"airflow:workerPools.a": pool | {"queues": []}, "airflow:workerPools.b": pool | {"queues": ["default"]}}
    keys = [fault.key for fault in faults_of(added)]
    assert keys == ["airflow:workerPools.a.queues", "airflow:workerPools.b.queues"]


@pytest.mark.parametrize(
    ("options", "queue"), [({}, "default"), ({"operators": {"default_queue": "elsewhere"}}, "elsewhere")]
)
def test_a_pool_serves_the_queue_of_tasks_that_name_none(options: dict[str, object], queue: str):
    fault = the_fault({"airflow:workerPools.default.queues": ["light"], "airflow:config": options})
    assert fault.key == "airflow:workerPools"
    assert fault.given == f'no pool with the queue "{queue}"'


def test_another_default_queue_is_accepted_if_a_pool_serves_it():
    changes = {
        "airflow:workerPools.default.queues": ["light"],
        "airflow:config": {"operators": {"default_queue": "light"}},
    }
    assert faults_of(changes) == ()


def test_a_stack_without_a_pool_is_refused():
    fault = the_fault({"airflow:workerPools": {}})
    assert fault.allowed == "at least one pool"


def test_a_pool_may_have_no_workers_while_idle():
    assert faults_of({"airflow:workerPools.heavy.minSize": 0}) == ()


def test_a_default_queue_without_a_pool_is_reported():
    assert the_fault({"airflow:workerPools.default": REMOVED}).given == 'no pool with the queue "default"'
