"""Logs of running tasks in the nodes' Airflow: a worker's log server, and what the API reads from it."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from lab.airflow_api import wait_until
from tests.node.programs import module, python_path

SHOWN_BYTES = module("task_logs").SHOWN_BYTES
BUCKET = "task-logs"
LINES = [json.dumps({"timestamp": "2026-11-01T10:00:00Z", "event": f"line {n} {'x' * 2000}"}) for n in range(3_000)]
LONG = "\n".join(LINES) + "\n"
SERVE = "import sys; from airflow.utils.serve_logs import serve_logs; serve_logs(int(sys.argv[1]))"
READ = """
import json, os, resource, sys
from types import SimpleNamespace
from airflow.utils.log.log_reader import TaskLogReader
from airflow.utils.state import TaskInstanceState

worker, unused_port = sys.argv[1:]
handler = TaskLogReader().log_handler
# Airflow's own asks the database for the template of paths.
type(handler)._render_filename = lambda self, ti, try_number: ti.path


def read(name, metadata=None, **changes):
    ti = {"state": TaskInstanceState.RUNNING, "hostname": "127.0.0.1", "try_number": 1, "executor": None, "task": None}
    messages, metadata = handler.read(SimpleNamespace(**ti | {"path": f"{name}.log"} | changes), 1, metadata)
    return [message.event[:400] for message in messages], metadata


def first_and_next(name):
    first, metadata = read(name)
    with open(f"{worker}/{name}.log", "a") as file:
        file.write("more\\n")
    return [first, read(name, metadata)[0]]


def mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


found = {"short": first_and_next("short")}
before = mib()
found["huge"] = read("huge")[0]
found["mib"] = mib() - before
found["long"] = first_and_next("long")
found |= {name: read(name)[0] for name in ("empty", "missing")}
found["ended"] = read("ended", {"log_pos": 5}, state=TaskInstanceState.SUCCESS)[0]
triggerer = SimpleNamespace(id=7, hostname="127.0.0.1")
found["trigger"] = read("deferred", state=TaskInstanceState.DEFERRED, triggerer_job=triggerer)[0]
found["nowhere"] = read("short", hostname="")[0]
os.environ["AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT"] = unused_port
found["away"] = read("short")[0]
print(json.dumps(found))
"""


def _free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def _listens(server: subprocess.Popen[bytes], port: str) -> bool:
    assert server.poll() is None, "it has ended"
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", int(port))) == 0


@contextmanager
def _log_server(python: Path, port: str, environment: dict[str, str], output: Path) -> Generator[None]:
    with output.open("w") as file:
        server = subprocess.Popen([python, "-c", SERVE, port], env=environment, stdout=file, stderr=file)
        try:
            wait_until(lambda: _listens(server, port), 600, "the log server", output.read_text)
            yield
        finally:
            server.terminate()
            server.wait()


def _logs(folder: Path, **logs: str) -> Path:
    folder.mkdir()
    for name, text in logs.items():
        (folder / f"{name}.log").write_text(text)
    return folder


@pytest.fixture(scope="module")
def found(nodes_python: Path, aws_server: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the API shows of the logs of some tasks, and how much its memory grows with one of 300 MiB."""
    home = tmp_path_factory.mktemp("logs")
    worker = _logs(home / "worker", short="one\ntwo\n", long=LONG, empty="", huge="")
    with (worker / "huge.log").open("r+b") as file:
        file.truncate(300 << 20)
    master = _logs(home / "master", **{"deferred.log.trigger.7": LONG})
    aws = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-west-1"}
    s3 = boto3.client("s3", endpoint_url=aws_server, **aws)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=BUCKET, Key="airflow/ended.log", Body=LONG)
    port = _free_port()
    environment = {"PYTHONPATH": python_path(), "AIRFLOW_HOME": str(home), "HOME": str(home), "PATH": "/usr/bin:/bin"}
    environment |= {"AWS_ENDPOINT_URL_S3": aws_server, "AWS_DEFAULT_REGION": "eu-west-1"}
    environment |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    environment |= {"AIRFLOW__API__SECRET_KEY": "of the cluster"}
    options = {
        "logging_config_class": "node_logging.LOGGING_CONFIG",
        "remote_logging": "True",
        "remote_base_log_folder": f"s3://{BUCKET}/airflow",
        "worker_log_server_port": port,
        "trigger_log_server_port": _free_port(),
    }
    environment |= {f"AIRFLOW__LOGGING__{option.upper()}": value for option, value in options.items()}
    folder = "AIRFLOW__LOGGING__BASE_LOG_FOLDER"
    with _log_server(nodes_python, port, environment | {folder: str(worker)}, home / "log-server"):
        command = [nodes_python, "-c", READ, str(worker), _free_port()]
        done = subprocess.run(
            command, env=environment | {folder: str(master)}, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _shown(messages: list[str]) -> list[str]:
    """Without the group of lines that say where the log is."""
    return messages[messages.index("::endgroup::") + 1 :]


def _notice(size: int, path: str, *, while_it_runs: bool = True) -> str:
    when = ", once the task has ended" if while_it_runs else ""
    left_out = f"The first {(size - SHOWN_BYTES) / (1 << 20):.1f} MiB of this log are not shown."
    return f"{left_out} The whole log{when}: aws s3 cp 's3://{BUCKET}/airflow/{path}' ."


def _assert_end(messages: list[str], notice: str, last: str = "line 2999") -> None:
    """The notice, then as many whole lines as fit."""
    first, *lines = messages
    assert first == notice
    assert lines[0].startswith(f"line {3000 - SHOWN_BYTES // (len(LINES[-1]) + 1)}"), lines[0]
    assert lines[-1].startswith(last)


def test_a_running_tasks_log_is_shown_whole_and_then_what_follows(found: Any):
    first, following = found["short"]
    assert _shown(first) == ["one", "two"]
    assert following == ["more"]


def test_of_a_long_one_the_end_is_shown(found: Any):
    _assert_end(_shown(found["long"][0]), _notice(len(LONG), "long.log"))


def test_a_client_gets_the_end_of_a_long_one_anew_because_nobody_knows_which_lines_it_has(found: Any):
    _assert_end(_shown(found["long"][1]), _notice(len(LONG) + len("more\n"), "long.log"), last="more")
    _assert_end(_shown(found["ended"]), _notice(len(LONG), "ended.log", while_it_runs=False))


def test_one_of_300_mib_takes_less_than_64_mib_of_memory(found: Any):
    assert _shown(found["huge"])[0] == _notice(300 << 20, "huge.log")
    assert found["mib"] < 64


def test_of_a_deferred_tasks_long_log_on_this_master_the_end_is_shown(found: Any):
    _assert_end(_shown(found["trigger"]), _notice(len(LONG), "deferred.log.trigger.7.log"))


def test_an_empty_log_has_no_lines(found: Any):
    assert _shown(found["empty"]) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    {
        "missing": "Log file not found on worker '127.0.0.1'",
        "nowhere": "Hostname not available for worker",
        "away": "Connection refused",
    }.items(),
)
def test_why_a_log_cannot_be_read_is_said_in_its_place(found: Any, name: str, reason: str):
    _, said, *_ = found[name]
    assert reason in said
    assert _shown(found[name]) == []
