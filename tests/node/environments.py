"""Node environments to test with; each test overrides what matters to it."""

from __future__ import annotations

import dataclasses
from typing import Any

from node.environment import NodeEnvironment
from node.roles import Role

MASTER = NodeEnvironment(
    role=Role.MASTER,
    cluster="airflow-prod",
    region="eu-west-1",
    group_name="airflow-prod-masters",
    web_url="http://airflow-prod.internal:8080",
    secure_cookies=False,
    vpc_cidr="10.80.0.0/16",
    task_logs_bucket="airflow-prod-111122223333-eu-west-1-task-logs",
    dags_bucket="airflow-prod-111122223333-eu-west-1-dags",
    artifacts_bucket="airflow-prod-111122223333-eu-west-1-artifacts",
)
WORKER = dataclasses.replace(
    MASTER,
    role=Role.WORKER,
    group_name="airflow-prod-pool-default",
    pool="default",
    queues=("default", "reports"),
    concurrency=16,
)
BOTH = (MASTER, WORKER)


def master(**changes: Any) -> NodeEnvironment:
    """A master's environment with some values changed."""
    return dataclasses.replace(MASTER, **changes)


def worker(**changes: Any) -> NodeEnvironment:
    """A worker's environment with some values changed."""
    return dataclasses.replace(WORKER, **changes)
