"""Airflow's logging on every node, for its option `logging_config_class`: task logs in S3 may be of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Airflow is installed only on nodes.
from airflow.config_templates.airflow_local_settings import DEFAULT_LOGGING_CONFIG  # ty: ignore[import-not-found]
from airflow.configuration import conf  # ty: ignore[import-not-found]
from task_logs import TaskLogs

_HANDLERS: dict[str, Any] = DEFAULT_LOGGING_CONFIG["handlers"]
# By name, because Airflow's handler cannot be imported before this module is.
_TASK = _HANDLERS["task"] | {"class": "task_log_handler.TaskLogHandler"}
LOGGING_CONFIG: dict[str, Any] = DEFAULT_LOGGING_CONFIG | {"handlers": _HANDLERS | {"task": _TASK}}

# Airflow looks for this name.
REMOTE_TASK_LOG = TaskLogs(conf.get("logging", "remote_base_log_folder"), Path(conf.get("logging", "base_log_folder")))
