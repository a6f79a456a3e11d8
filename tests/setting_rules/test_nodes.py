"""What masters, pools and queues have to agree on."""

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
    assert fault.remedy == "lower concurrency to at most 35, or take larger instance types"
    assert faults_of({**changes, "airflow:workerPools.default.concurrency": 35}) == ()


def test_a_type_too_small_for_any_task_is_not_told_to_run_fewer():
    changes = {"airflow:workerPools.default.instanceTypes": ["t3.nano"], "airflow:workerPools.default.concurrency": 1}
    assert the_fault(changes).remedy == "take larger instance types"


def test_types_whose_memory_their_name_does_not_tell_are_accepted():
    assert faults_of({"airflow:workerPools.default.instanceTypes": ["g5.xlarge"]}) == ()


def test_a_master_has_memory_for_its_services():
    fault = the_fault({"airflow:masters.instanceType": "t3.small"})
    assert fault.key == "airflow:masters.instanceType"
    assert fault.given == '"t3.small", 2 GiB of memory'


def test_a_queue_belongs_to_one_pool():
    fault = the_fault({"airflow:workerPools.heavy.queues": ["heavy", "default"]})
    assert fault.key == "airflow:workerPools.heavy.queues"
    assert fault.given == '"default", which the pool default serves as well'
    assert "remove default from one of default, heavy" in fault.remedy


def test_a_pool_without_queues_hides_no_queue_that_two_others_serve():
    pool = {"instanceTypes": ["r7i.xlarge"], "concurrency": 1, "minSize": 0, "maxSize": 1}
    added = {"airflow:workerPools.a": pool | {"queues": []}, "airflow:workerPools.b": pool | {"queues": ["default"]}}
    keys = [fault.key for fault in faults_of(added)]
    assert keys == ["airflow:workerPools.a.queues", "airflow:workerPools.b.queues"]


@pytest.mark.parametrize(
    ("options", "queue"), [({}, "default"), ({"operators": {"default_queue": "elsewhere"}}, "elsewhere")]
)
def test_the_queue_of_tasks_that_name_none_is_served(options: dict[str, object], queue: str):
    fault = the_fault({"airflow:workerPools.default.queues": ["light"], "airflow:config": options})
    assert fault.key == "airflow:workerPools"
    assert fault.given == f'no pool with the queue "{queue}"'


def test_another_default_queue_is_accepted_where_a_pool_serves_it():
    changes = {
        "airflow:workerPools.default.queues": ["light"],
        "airflow:config": {"operators": {"default_queue": "light"}},
    }
    assert faults_of(changes) == ()


def test_there_is_a_pool():
    fault = the_fault({"airflow:workerPools": {}})
    assert fault.allowed == "at least one pool"


def test_a_pool_may_rest_at_nothing():
    assert faults_of({"airflow:workerPools.heavy.minSize": 0}) == ()


def test_without_its_pool_the_default_queue_is_missed():
    assert the_fault({"airflow:workerPools.default": REMOVED}).given == 'no pool with the queue "default"'
