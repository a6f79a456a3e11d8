"""What a worker tells Celery: what every node does, and the module that watches over what it consumes."""

from __future__ import annotations

import node_celery

CONFIG = {
    **node_celery.CONFIG,
    "imports": (*node_celery.CONFIG.get("imports", ()), "worker_report", "task_cgroups"),
    # A worker takes a message when it has a slot for it; what it cannot start at once is somebody else's.
    "worker_disable_prefetch": True,
}
