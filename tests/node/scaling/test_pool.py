from __future__ import annotations

import json

import pytest
from airflow_node.worker_registry import GroupSizes
from scaling.pool import Pool, parse_pools

HEAVY = {
    "group": "airflow-prod-pool-heavy",
    "queues": ["heavy", "gpu"],
    "concurrency": 4,
    "idleSeconds": 60,
    "bootLeadSeconds": 180,
    "workersAhead": 8,
}


def test_pools_are_read_in_their_order():
    text = json.dumps({"heavy": HEAVY, "default": {**HEAVY, "group": "airflow-prod-pool-default"}})
    heavy, default = parse_pools(text)
    assert heavy == Pool(
        name="heavy",
        group="airflow-prod-pool-heavy",
        queues=("heavy", "gpu"),
        concurrency=4,
        idle_seconds=60.0,
        boot_lead_seconds=180.0,
        workers_ahead=8,
    )
    assert (default.name, default.group) == ("default", "airflow-prod-pool-default")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "Expecting value"),
        ("[]", "AttributeError"),
        ('{"heavy": {}}', "group"),
        (json.dumps({"heavy": {**HEAVY, "concurrency": 0}}), "concurrency of heavy is 0"),
    ],
)
def test_what_describes_no_pools_is_refused_with_what_to_do(text: str, fault: str):
    with pytest.raises(ValueError, match=r"NODE_POOLS.*deploy the stack again") as refused:
        parse_pools(text)
    assert fault in str(refused.value)


@pytest.mark.parametrize(("tasks", "workers"), [(0, 0), (1, 1), (4, 1), (5, 2)])
def test_a_worker_that_is_begun_counts_as_one(tasks: int, workers: int):
    (pool,) = parse_pools(json.dumps({"heavy": HEAVY}))
    assert pool.workers_for(tasks) == workers


def test_a_size_stays_within_the_groups_limits():
    group = GroupSizes(minimum=2, maximum=5, desired=3)
    assert [group.within(size) for size in (0, 2, 4, 9)] == [2, 2, 4, 5]
