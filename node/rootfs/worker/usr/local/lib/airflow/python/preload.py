"""Loads what every task needs into Celery's main process, from which Celery forks the supervisors of tasks.

Otherwise each supervisor would load it at its first task: that takes a second of processor time, a part of it before
the task starts, and a worker has as many supervisors as task slots.
"""

from __future__ import annotations

import time

from celery.signals import worker_init
from celery.utils.log import get_logger

logger = get_logger(__name__)


@worker_init.connect
def _load(**_: object) -> None:
    """Called before Celery creates its pool. Without it, a worker is slower, not broken."""
    began = time.monotonic()
    try:
        load()
    except Exception:
        logger.warning("Nothing is loaded in advance: each supervisor will load it at its first task", exc_info=True)
    else:
        logger.info("Loaded for all supervisors in %.1f s what tasks need", time.monotonic() - began)


def load() -> None:
    """Do what a supervisor and its task do once, as far as it depends on no task."""
    # Airflow is installed only on nodes.
    import airflow.dag_processing.dagbag  # ty: ignore[import-not-found]
    import airflow.sdk.definitions.decorators  # ty: ignore[import-not-found]
    import airflow.sdk.execution_time.task_runner  # noqa: F401  # ty: ignore[import-not-found]
    import release_bundle  # noqa: F401
    import task_logs
    from sqlalchemy.orm import configure_mappers  # ty: ignore[import-not-found]

    # Celery's first write of a task's state would do it, and load Airflow's models.
    configure_mappers()
    # The upload of logs uses it.
    task_logs.s3()
