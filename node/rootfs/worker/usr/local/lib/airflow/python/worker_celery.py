"""What a worker tells Celery: what every node does, and the modules that watch over what it consumes and obeys."""

from __future__ import annotations

import node_celery

WORKER_MODULES = ("worker_report", "worker_messages", "remote_control", "task_cgroups")

CONFIG = {
    **node_celery.CONFIG,
    "imports": (*node_celery.CONFIG.get("imports", ()), *WORKER_MODULES),
    # A worker takes a message when it has a slot for it; what it cannot start at once is somebody else's.
    "worker_disable_prefetch": True,
}
