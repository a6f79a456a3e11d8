"""Airflow's logging on every node, for its option `logging_config_class`. Logs of any size are readable with it."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import requests

# Airflow is installed only on nodes.
from airflow.config_templates.airflow_local_settings import DEFAULT_LOGGING_CONFIG  # ty: ignore[import-not-found]
from airflow.configuration import conf  # ty: ignore[import-not-found]
from airflow.utils.log import file_task_handler  # ty: ignore[import-not-found]
from task_logs import SHOWN_BYTES, TaskLogs, end_of

_AFTER_THE_TASK = "The whole log will be in S3 when the task has ended."

_fetch_whole = file_task_handler._fetch_logs_from_service
_asked: ContextVar[dict[str, Any]] = ContextVar("asked")


class TaskLogHandler(file_task_handler.FileTaskHandler):
    """Airflow's handler, which remembers what was asked of it."""

    def _read(self, ti: Any, try_number: int, metadata: Mapping[str, Any] | None = None) -> Any:
        asked = dict(metadata or {})
        _asked.set(asked)
        return super()._read(ti, try_number, asked)


def _forget_position() -> None:
    """Respond with all that is shown, even if the client already has some number of lines.

    The end of a growing log does not begin with the same line twice, so that number says nothing.
    """
    _asked.get({}).pop("log_pos", None)


def _fetch_end(url: str, path: str) -> requests.Response:
    """The log of a running task or trigger, from the node on which it runs."""
    response = _fetch_whole(url, path)
    size = int(response.headers.get("Content-Length", 0))
    if response.status_code != requests.codes.ok or size <= SHOWN_BYTES:
        return response
    # Only the headers have been transferred.
    response.close()
    asked = {**response.request.headers, "Range": f"bytes={size - SHOWN_BYTES}-{size - 1}"}
    response = requests.get(url, headers=asked, timeout=conf.getint("api", "log_fetch_timeout_sec"))
    if response.status_code == requests.codes.partial_content:
        text = "\n".join(end_of(response.content, size - SHOWN_BYTES, _AFTER_THE_TASK))
        response.raw = io.BytesIO(text.encode())
        _forget_position()
    return response


file_task_handler._fetch_logs_from_service = _fetch_end

LOGGING_CONFIG: dict[str, Any] = copy.deepcopy(DEFAULT_LOGGING_CONFIG)
LOGGING_CONFIG["handlers"]["task"]["class"] = "node_logging.TaskLogHandler"

# Airflow looks for this name.
REMOTE_TASK_LOG = TaskLogs(
    conf.get("logging", "remote_base_log_folder"),
    Path(conf.get("logging", "base_log_folder")),
    when_cut=_forget_position,
)
