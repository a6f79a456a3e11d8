"""Node environments to test with; each test overrides what matters to it."""

from __future__ import annotations

import dataclasses
from typing import Any

from node.environment import NodeEnvironment
from node.roles import MASTERS, worker_group
from node.worker_pool_config import WorkerPoolConfig

POOL = WorkerPoolConfig(
    name="default",
    group="airflow-prod-pool-default",
    queues=("default", "reports"),
    concurrency=16,
    idle_seconds=180,
    drain_limit_seconds=12 * 3600,
    heartbeat_seconds=480,
    boot_lead_seconds=180,
    workers_ahead=8,
)
MASTER = NodeEnvironment(
    group=MASTERS,
    cluster="airflow-prod",
    region="eu-west-1",
    pools=(POOL,),
    metadata_days=365,
    web_url="http://airflow-prod.internal:8080",
    secure_cookies=False,
    vpc_cidrs=("10.80.0.0/16",),
    task_logs_bucket="airflow-prod-111122223333-eu-west-1-task-logs",
    dags_bucket="airflow-prod-111122223333-eu-west-1-dags",
    artifacts_bucket="airflow-prod-111122223333-eu-west-1-artifacts",
)
WORKER = dataclasses.replace(
    MASTER,
    group=worker_group(POOL.name),
    pool=POOL,
    pools=(),
    metadata_days=0,
)
BOTH = (MASTER, WORKER)


def master(**changes: Any) -> NodeEnvironment:
    """A master's environment with some values changed."""
    return dataclasses.replace(MASTER, **changes)


def worker(**changes: Any) -> NodeEnvironment:
    """A worker's environment with some values changed."""
    return dataclasses.replace(WORKER, **changes)
