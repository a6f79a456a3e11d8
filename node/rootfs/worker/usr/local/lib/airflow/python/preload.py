"""Loads what every task needs into Celery's main process, from which Celery forks the supervisors of tasks.

Otherwise each supervisor would load it at its first task: that takes a second of processor time, a part of it before
the task starts, and a worker has as many supervisors as task slots.
"""

from __future__ import annotations

import gc
import time

from celery.signals import worker_init, worker_process_init
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


@worker_process_init.connect
def _keep_shared(**_: object) -> None:
    """Called in each supervisor when it begins. What it has from the main process is never garbage: without this, a
    collection would examine it all and thereby copy it, 90 MB, into this supervisor, or into a task that collects."""
    gc.freeze()


def load() -> None:
    """Do what a supervisor and its task do once, as far as it depends on no task."""
    # Airflow is installed only on nodes.
    import airflow.dag_processing.dagbag  # ty: ignore[import-not-found]
    import airflow.sdk.definitions.decorators  # ty: ignore[import-not-found]
    import airflow.sdk.execution_time.task_runner  # noqa: F401  # ty: ignore[import-not-found]
    import release_bundle  # noqa: F401
    import task_logs
    from airflow.sdk.api.client import Client  # ty: ignore[import-not-found]
    from sqlalchemy.orm import configure_mappers  # ty: ignore[import-not-found]

    # Celery's first write of a task's state would do it, and load Airflow's models.
    configure_mappers()
    # The upload of logs uses it.
    task_logs.s3()
    # The first client reads the certificate authorities for all others, also if the API has none. It connects later.
    Client(base_url="http://localhost", token="").close()
