from __future__ import annotations

import hashlib
from typing import Any

import pulumi
import pytest

from components.node_user_data import NodeSurroundings, master_user_data, worker_user_data
from node.user_data import decode
from tests.stack_file import changed, content, load

SURROUNDINGS = NodeSurroundings(
    web_url="http://airflow-prod.internal:8080",
    task_logs_bucket="airflow-prod-task-logs",
    dags_bucket="airflow-prod-dags",
    artifacts_bucket="airflow-prod-artifacts",
)


def environment(packed: str) -> dict[str, str]:
    lines = decode(packed)["/etc/airflow/airflow.env"].splitlines()
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith("#")]
    return {name: value.strip('"') for name, _, value in pairs}


def test_a_worker_knows_its_own_pool_and_queues():
    told = environment(worker_user_data(load(content()), SURROUNDINGS, "heavy"))
    assert told["NODE_POOL"] == "heavy"
    assert told["NODE_QUEUES"] == "heavy"
    assert told["NODE_GROUP"] == "airflow-prod-pool-heavy"
    assert told["AIRFLOW__CELERY__WORKER_CONCURRENCY"] == "4"


def test_a_master_knows_its_group_and_no_pool():
    told = environment(master_user_data(load(content()), SURROUNDINGS))
    assert told["NODE_GROUP"] == "airflow-prod-masters"
    assert "NODE_POOL" not in told


@pytest.mark.parametrize(
    "change",
    [
        {"airflow:database.instanceClass": "db.m7g.xlarge"},
        {"airflow:broker.nodeType": "cache.m7g.xlarge"},
        {"airflow:retention.taskLogsDays": 30},
        {"aws:defaultTags.tags.Owner": "data"},
    ],
)
def test_a_change_elsewhere_leaves_the_nodes_alone(change: dict[str, Any]):
    before, after = load(content()), load(changed(change))
    assert master_user_data(before, SURROUNDINGS) == master_user_data(after, SURROUNDINGS)
    assert worker_user_data(before, SURROUNDINGS, "default") == worker_user_data(after, SURROUNDINGS, "default")


def test_a_larger_pool_rolls_the_masters_that_fill_it_and_no_other_pool():
    before, after = load(content()), load(changed({"airflow:workerPools.heavy.maxSize": 5}))
    assert master_user_data(before, SURROUNDINGS) != master_user_data(after, SURROUNDINGS)
    assert worker_user_data(before, SURROUNDINGS, "default") == worker_user_data(after, SURROUNDINGS, "default")


def test_user_data_that_ec2_would_refuse_is_a_sentence_and_no_traceback():
    noise = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(600))
    settings = load(changed({"airflow:config.core.dagbag_import_error_tracebacks": noise}))
    with pytest.raises(pulumi.RunError, match="16,384"):
        master_user_data(settings, SURROUNDINGS)
