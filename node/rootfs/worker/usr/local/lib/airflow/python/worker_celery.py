"""Celery's settings on a worker: those of every node, and modules for its messages, commands, tasks and state."""

from __future__ import annotations

import node_celery
import task_outcomes

# Airflow is installed only on nodes.
from airflow.sdk.execution_time.supervisor import ActivitySubprocess  # ty: ignore[import-not-found]

ActivitySubprocess.wait = task_outcomes.noting_state(ActivitySubprocess.wait)

WORKER_MODULES = ("worker_report", "worker_messages", "remote_control", "task_cgroups", "preload")

CONFIG = {
    **node_celery.CONFIG,
    "imports": (*node_celery.CONFIG.get("imports", ()), *WORKER_MODULES),
    # worker_report limits messages to free slots. Celery's own limit after a lost connection would leave most slots of
    # a worker with long tasks empty for hours: it releases one slot for each task that ends.
    "worker_enable_prefetch_count_reduction": False,
}
