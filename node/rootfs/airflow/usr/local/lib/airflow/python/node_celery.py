"""Celery's settings on every node, for Airflow's option `celery_config_options`."""

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

# Seconds. After a failover, connections may be dead without an error, and Celery would wait on them for ever. With
# these, a worker ends its blocking read after two health checks at most, and a command after its time-out. A command
# that timed out is sent again on a new connection: otherwise a message that has just been read would be lost.
BROKER_CONNECTION = {
    "health_check_interval": 10,
    "socket_connect_timeout": 10,
    "socket_timeout": 5,
    "socket_keepalive": True,
    "retry_on_timeout": True,
}

CONFIG: dict[str, Any] = {
    **DEFAULT_CELERY_CONFIG,
    # A worker must survive an outage of the broker of any length; by default Celery exits after 100 attempts.
    "broker_connection_max_retries": None,
    "broker_transport_options": BROKER_CONNECTION | DEFAULT_CELERY_CONFIG["broker_transport_options"],
    # Without a limit of Celery's, Airflow's operation_timeout ends an attempt, and the scheduler sends the task again.
    # Celery's limit would count as a failure of the task.
    "task_publish_retry_policy": {
        **DEFAULT_CELERY_CONFIG.get("task_publish_retry_policy", {}),
        "max_retries": None,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.2,
    },
}
