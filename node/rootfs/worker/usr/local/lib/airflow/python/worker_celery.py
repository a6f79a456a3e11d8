"""What a worker tells Celery: what every node does, and modules that watch what it consumes, obeys and finishes."""

from __future__ import annotations

import node_celery
import task_outcomes

# Airflow is installed only on nodes.
from airflow.sdk.execution_time.supervisor import ActivitySubprocess  # ty: ignore[import-not-found]

ActivitySubprocess.wait = task_outcomes.noting_state(ActivitySubprocess.wait)

WORKER_MODULES = ("worker_report", "worker_messages", "remote_control", "task_cgroups")

CONFIG = {
    **node_celery.CONFIG,
    "imports": (*node_celery.CONFIG.get("imports", ()), *WORKER_MODULES),
    # worker_report knows which slots are free. What Celery does to take not too much after a lost connection leaves
    # most slots of a worker whose tasks take long empty for hours: it gives back one for each task that ends.
    "worker_enable_prefetch_count_reduction": False,
}
