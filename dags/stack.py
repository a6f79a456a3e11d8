"""What the commands need to know of a stack: read from its stack file, without asking AWS."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from engine.stack_config import stack_settings
from node.naming import bucket_name


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Attributes:
    dags_bucket: the bucket's name, which follows from cluster, account and region.
    queues: the Celery queues that its worker pools serve.
    """

    region: str
    dags_bucket: str
    queues: Collection[str]


def read_stack(root: Path, name: str) -> Stack:
    """The stack; raises StackFileError or SettingsError if its file is missing or has faults."""
    settings = stack_settings(root, name)
    cluster, region = settings.cluster, settings.region
    return Stack(
        region=region,
        dags_bucket=bucket_name(cluster.name, cluster.account_id, region, "dags"),
        queues={queue for pool in settings.worker_pools.values() for queue in pool.queues},
    )
