"""What Airflow's API asks for the log of a task, also of one that runs: no more than the end of a long log is read."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Airflow is installed only on nodes.
from airflow.configuration import conf  # ty: ignore[import-not-found]
from airflow.utils.log.file_task_handler import FileTaskHandler, LogType  # ty: ignore[import-not-found]
from node_logging import REMOTE_TASK_LOG
from task_logs import SHOWN_BYTES, Notice, end_of

if TYPE_CHECKING:
    import requests

Found = tuple[list[str], list[Iterator[str]]]
"""Where logs are, and the lines of each of them."""

log = logging.getLogger(__name__)


class TaskLogHandler(FileTaskHandler):
    """Airflow's handler, except for how it reads logs of running tasks.

    Its own gets the whole log from the worker each time that the UI looks, which is every few seconds.
    """

    # Of the request: what the client already has (Airflow's LogMetadata).
    _metadata: dict[str, Any]

    def _read(self, ti: Any, try_number: int, metadata: dict[str, Any] | None = None) -> Any:
        request = copy.copy(self)  # all requests share one handler
        request._metadata = {} if metadata is None else metadata
        return super(TaskLogHandler, request)._read(ti, try_number, request._metadata)

    def _read_remote_logs(self, *arguments: Any) -> Found:
        return self._checked(*super()._read_remote_logs(*arguments))

    def _read_from_local(self, worker_log_path: Path) -> Found:
        """On a master: logs of its own triggerer."""
        sources, _ = super()._read_from_local(worker_log_path)
        return self._checked(sources, [self._end_of_file(Path(source)) for source in sources])

    def _read_from_logs_server(self, ti: Any, worker_log_rel_path: str) -> Found:
        kind = LogType.TRIGGER if getattr(ti, "triggerer_job", False) else LogType.WORKER
        url, path = self._get_log_retrieval_url(ti, worker_log_rel_path, log_type=kind)
        if not url:
            return super()._read_from_logs_server(ti, worker_log_rel_path)
        import requests  # most processes that load this module read no logs

        try:
            with _get_end(url, path) as response:
                if response.status_code == requests.codes.requested_range_not_satisfiable:
                    return [], []  # of an empty log
                if response.status_code == requests.codes.partial_content:
                    lines = end_of(response.content, _left_out(response), _whole(path))
                    return self._checked([url], [lines])
        except requests.RequestException as error:
            log.warning("%s cannot be read", url, exc_info=True)
            return [f"Could not read served logs: {error}"], []
        # Airflow asks again, and has a sentence for each other answer.
        return super()._read_from_logs_server(ti, worker_log_rel_path)

    def _end_of_file(self, path: Path) -> Iterator[str]:
        try:
            with path.open("rb") as file:
                left_out = max(0, os.fstat(file.fileno()).st_size - SHOWN_BYTES)
                file.seek(left_out)
                data = file.read(SHOWN_BYTES)
        except FileNotFoundError:
            return  # the triggerer has uploaded it
        yield from end_of(data, left_out, _whole(path.relative_to(self.local_base)))

    def _checked(self, sources: list[str], logs: list[Iterator[str]]) -> Found:
        """The same, after making sure that a client gets the end of a long log anew.

        A client says how many lines it has, but nobody knows how many precede the end.
        """
        checked = list[Iterator[str]]()
        for lines in logs:
            first = next(lines, None)
            if first is not None:
                checked.append(chain([first], lines))
            if isinstance(first, Notice):
                self._metadata.pop("log_pos", None)
        return sources, checked


def _get_end(url: str, path: str) -> requests.Response:
    """Ask a worker or triggerer as Airflow does, but for the end of the log."""
    import requests
    from airflow.api_fastapi.auth.tokens import JWTGenerator, get_signing_key  # ty: ignore[import-not-found]

    token = JWTGenerator(
        secret_key=get_signing_key("api", "secret_key"),
        algorithm="HS512",
        private_key=None,  # else it takes that of the configuration, and refuses to have both
        issuer=None,
        valid_for=conf.getint("webserver", "log_request_clock_grace", fallback=30),
        audience="task-instance-logs",
    ).generate({"filename": path})
    headers = {"Authorization": token, "Range": f"bytes=-{SHOWN_BYTES}"}
    return requests.get(url, headers=headers, timeout=conf.getint("api", "log_fetch_timeout_sec"), stream=True)


def _left_out(response: requests.Response) -> int:
    # bytes 300-499/500, https://www.rfc-editor.org/rfc/rfc9110#name-content-range
    return int(response.headers["Content-Range"].removeprefix("bytes ").partition("-")[0])


def _whole(path: str | Path) -> str:
    return f"The whole log, once the task has ended: aws s3 cp '{REMOTE_TASK_LOG.url(path)}' ."
