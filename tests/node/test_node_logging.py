"""Airflow's logging with a substitute for Airflow. tests/cluster/test_dag_run.py reads logs in the real one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import ModuleType, SimpleNamespace
from typing import Any

import jinja2
import pytest
import requests

from node.airflow_options.rendering import COMMON_OPTIONS, MASTER_OPTIONS
from tests.node.programs import load, module

task_logs = module("task_logs")

OPTIONS = {"remote_base_log_folder": "s3://task-logs/airflow", "base_log_folder": "/var/lib/airflow/logs"}
AIRFLOWS_HANDLER = {"class": "airflow's", "base_log_folder": "/var"}
AIRFLOWS_CONFIG = {"version": 1, "handlers": {"task": AIRFLOWS_HANDLER, "console": {}}}
AIRFLOWS_PATHS = (
    "dag_id={{ ti.dag_id }}/run_id={{ ti.run_id }}/task_id={{ ti.task_id }}/"
    "{% if ti.map_index >= 0 %}map_index={{ ti.map_index }}/{% endif %}"
    "attempt={{ try_number|default(ti.try_number) }}.log"
)
NAME_MAX = 255


class _Handler:
    """Airflow's FileTaskHandler: it fetches the log, and skips what the client has."""

    def _read(self, ti: Any, _try_number: int, metadata: dict[str, Any]) -> Any:
        fetch = vars(sys.modules["airflow.utils.log.file_task_handler"])["_fetch_logs_from_service"]
        response = fetch(ti.url, "path")
        return response.raw.read().decode().split("\n")[metadata.get("log_pos", 0) :]


def _fetch(url: str, _path: str) -> requests.Response:
    return requests.get(url, headers={"Authorization": "x"}, timeout=5, stream=True)


@pytest.fixture
def node_logging(monkeypatch: pytest.MonkeyPatch) -> Any:
    names = ("airflow", "airflow.config_templates", "airflow.config_templates.airflow_local_settings")
    names += ("airflow.configuration", "airflow.utils", "airflow.utils.log", "airflow.utils.log.file_task_handler")
    modules = {name: ModuleType(name) for name in names}
    vars(modules["airflow.config_templates.airflow_local_settings"])["DEFAULT_LOGGING_CONFIG"] = AIRFLOWS_CONFIG
    conf = SimpleNamespace(get=lambda _section, option: OPTIONS[option], getint=lambda *_: 5)
    vars(modules["airflow.configuration"])["conf"] = conf
    vars(modules["airflow.utils.log.file_task_handler"]).update(
        FileTaskHandler=_Handler,
        _fetch_logs_from_service=_fetch,
    )
    vars(modules["airflow.utils.log"])["file_task_handler"] = modules["airflow.utils.log.file_task_handler"]
    for name, found in modules.items():
        monkeypatch.setitem(sys.modules, name, found)
    return load("python/node_logging.py")


class _LogServer(BaseHTTPRequestHandler):
    """A worker's server of logs: it knows ranges, as Starlette does."""

    log = b""

    def do_GET(self) -> None:
        if self.headers["Authorization"] != "x":
            self.send_error(403)
            return
        first = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(self.log) - first))
        self.end_headers()
        with suppress(OSError):  # the client had seen enough
            self.wfile.write(self.log[first:])

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the name in the base class


@pytest.fixture
def log_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _LogServer)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/log"
    server.shutdown()
    server.server_close()


def test_everything_but_the_reading_of_task_logs_is_as_airflow_has_it(node_logging: Any):
    handler = {"class": "node_logging.TaskLogHandler", "base_log_folder": "/var"}
    assert {"version": 1, "handlers": {"task": handler, "console": {}}} == node_logging.LOGGING_CONFIG
    assert AIRFLOWS_HANDLER["class"] == "airflow's"
    assert hasattr(node_logging, handler["class"].split(".")[1])


def test_airflow_finds_the_logs_in_the_stacks_bucket(node_logging: Any):
    assert node_logging.REMOTE_TASK_LOG.__class__.__name__ == "TaskLogs"
    assert {each.option: each.value for each in COMMON_OPTIONS}["logging_config_class"] == "node_logging.LOGGING_CONFIG"


def test_a_running_tasks_log_is_read_as_airflow_reads_it(node_logging: Any, log_server: str):
    _LogServer.log = b"one\ntwo"
    read = node_logging.TaskLogHandler()._read
    assert read(SimpleNamespace(url=log_server), 1) == ["one", "two"]
    assert read(SimpleNamespace(url=log_server), 1, {"log_pos": 1}) == ["two"]


def test_of_a_running_tasks_long_log_the_end_is_read(node_logging: Any, log_server: str):
    lines = [f"line {number}" for number in range(500_000)]
    _LogServer.log = "\n".join(lines).encode()
    first, *shown = node_logging.TaskLogHandler()._read(SimpleNamespace(url=log_server), 1)
    assert "are not shown. The whole log will be in S3 when the task has ended." in json.loads(first)["event"]
    assert shown == lines[-len(shown) :]
    assert 0 <= task_logs.SHOWN_BYTES - len("\n".join(shown)) <= len("line 499999\n")


def test_a_client_that_has_an_earlier_end_gets_the_whole_new_one(node_logging: Any, log_server: str):
    _LogServer.log = b"a line\n" * task_logs.SHOWN_BYTES
    read = node_logging.TaskLogHandler()._read
    assert read(SimpleNamespace(url=log_server), 1, {"log_pos": 100}) == read(SimpleNamespace(url=log_server), 1)


def _path(template: str, **names: Any) -> str:
    names = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "try_number": 1} | names
    return jinja2.Template(template).render(ti=SimpleNamespace(**names))


OUR_PATHS = str({each.option: each.value for each in MASTER_OPTIONS}["log_filename_template"])


@pytest.mark.parametrize("length", [1, 200, 247])
@pytest.mark.parametrize("map_index", [-1, 3])
def test_a_log_with_names_that_fit_is_where_airflow_would_have_it(length: int, map_index: int):
    names = dict.fromkeys(("dag_id", "run_id", "task_id"), "x" * length) | {"map_index": map_index}
    assert _path(OUR_PATHS, **names) == _path(AIRFLOWS_PATHS, **names)


@pytest.mark.parametrize("letter", ["x", "ä", "文", "😀"])
def test_names_of_the_greatest_length_fit_into_file_systems(letter: str):
    path = _path(OUR_PATHS, dag_id=letter * 250, run_id="x" * 250, task_id=letter * 250, map_index=1)
    assert max(len(part.encode()) for part in path.split("/")) <= NAME_MAX


def test_the_logs_of_ascii_names_of_the_greatest_length_fit_into_s3():
    names = dict.fromkeys(("dag_id", "run_id", "task_id"), "x" * 250) | {"map_index": 10**9}
    assert len(f"airflow/{_path(OUR_PATHS, **names)}.trigger.{10**9}.log") <= 1024


def test_long_names_that_differ_only_at_their_end_have_logs_of_their_own():
    paths = {_path(OUR_PATHS, dag_id=f"{'x' * 249}{end}") for end in "ab"}
    assert len(paths) == 2
