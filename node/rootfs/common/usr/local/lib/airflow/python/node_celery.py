"""What every node tells Celery besides Airflow's options, for Airflow's `celery_config_options`."""

from __future__ import annotations

import pickle
from typing import Any

# Airflow, and with it Celery's database backend, is installed only on nodes.
from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG  # ty: ignore[import-not-found]
from celery.backends.database.models import Task


class Unread:
    """Writes Celery's results as Celery does, but never reads them.

    Celery stores a task's return value or exception as a pickle in the result database, to which every worker can
    write. Unpickling can run code, and the schedulers read the rows of all tasks. They need only the state: return
    values of Airflow's tasks are XComs.
    """

    dumps = staticmethod(pickle.dumps)

    @staticmethod
    def loads(_: bytes) -> None:
        return None


Task.__table__.c.result.type.pickler = Unread

# Seconds. A failover leaves connections whose peer is gone without a word. Celery would wait on them for ever: so a
# worker gives its blocking read up after two checks at most, and a command after its time-out. What timed out is sent
# again on a new connection: a message that has just been read would be lost otherwise.
BROKER_CONNECTION = {
    "health_check_interval": 10,
    "socket_connect_timeout": 10,
    "socket_timeout": 5,
    "socket_keepalive": True,
    "retry_on_timeout": True,
}

CONFIG: dict[str, Any] = {
    **DEFAULT_CELERY_CONFIG,
    # A broker that is away for hours must not end a worker for good; Celery's default ends it after 100 attempts.
    "broker_connection_max_retries": None,
    "broker_transport_options": BROKER_CONNECTION | DEFAULT_CELERY_CONFIG["broker_transport_options"],
    # Without an end of its own, so that it is Airflow's operation_timeout that ends an attempt: such a task stays with
    # the scheduler, which tries again. Celery's own end would count as a failure of the task.
    "task_publish_retry_policy": {
        **DEFAULT_CELERY_CONFIG.get("task_publish_retry_policy", {}),
        "max_retries": None,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.2,
    },
}
