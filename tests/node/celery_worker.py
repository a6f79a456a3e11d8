"""A Celery worker as a node runs it, on the test's own broker, with tasks that end when the test ends them."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import celery

from node.rootfs import PROGRAMS, ROOTFS
from tests.node.redis_server import Server

PATIENCE_SECONDS = 30.0
QUEUES = ("default", "reports")
CONNECTION = {"visibility_timeout": 604800}
UNIT = ROOTFS / "worker/etc/systemd/system/airflow-worker.service"
COMMAND = re.compile(r"^ExecStart=\S+/airflow celery worker (?P<options>.*) --queues \$\{NODE_QUEUES\}$", re.MULTILINE)
# The node's modules that the worker imports; a test compares them with the node's own settings.
IMPORTS = ("worker_report", "worker_messages", "remote_control")

# What Airflow's own application sets, as far as it matters here.
APPLICATION = """
import pathlib, time
import celery
import task_outcomes
import worker_report

folder = pathlib.Path({folder!r})
worker_report.STATE_FILE = folder / "run" / "state.json"
worker_report.CORDON_FILE = folder / "retired"
worker_report.STOPPING_FILE = folder / "run" / "stopping"

app = celery.Celery("test", broker={broker!r})
app.conf.update(
    imports={imports!r},
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_enable_prefetch_count_reduction=False,
    worker_hijack_root_logger=False,
    broker_connection_max_retries=None,
    broker_transport_options={connection!r},
    task_default_queue="default",
)

class Supervisor:
    # Like Airflow's, it knows the task's state when `wait` has returned.
    def __init__(self, name):
        self._end = folder / ("end-" + name)

    def wait(self):
        while not self._end.exists():
            time.sleep(0.02)
        self.final_state = self._end.read_text()
        return 0


Supervisor.wait = task_outcomes.noting_state(Supervisor.wait)

@app.task(name="execute_workload")
def execute_workload(text):
    name = celery.current_task.request.id
    with (folder / "ledger").open("a") as ledger:
        ledger.write(name + "\\n")
    supervisor = Supervisor(name)
    supervisor.wait()
    if supervisor.final_state == "none":
        raise RuntimeError("the supervisor itself fails")
"""


def arguments() -> tuple[str, ...]:
    """Celery's arguments: those that `airflow celery worker` itself passes, with two slots, and the unit's options."""
    command = COMMAND.search(UNIT.read_text())
    assert command, f"{UNIT} starts no worker"
    own = ("-A", "application", "worker", "-O", "fair", "--concurrency", "2", "--queues", ",".join(QUEUES))
    return (*own, "--loglevel", "INFO", *command["options"].split())


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until the condition is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"in {PATIENCE_SECONDS:.0f} s it did not come true that {what}"
        time.sleep(0.02)
    return found


def workload(task: str, map_index: int = -1) -> str:
    """What Airflow sends: the only argument of its messages."""
    instance = {"dag_id": "etl", "run_id": "manual__1", "task_id": task, "map_index": map_index, "try_number": 2}
    return json.dumps({"type": "ExecuteTask", "ti": instance, "token": "secret"})


def body(task: str) -> list[Any]:
    """The body of one of Airflow's messages."""
    return [[workload(task)], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]


def message(content: Any, task_id: str = "a-message") -> dict[str, Any]:
    """A message as it stands in a queue. kombu writes it, here with the headers of one of Airflow's."""
    return {
        "body": base64.b64encode(json.dumps(content).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "py", "task": "execute_workload", "id": task_id},
        "properties": {
            "delivery_tag": task_id,
            "delivery_info": {"exchange": "", "routing_key": "default"},
            "body_encoding": "base64",
            "priority": 0,
        },
    }


class CeleryWorker:
    """A running worker with two slots."""

    def __init__(self, broker: Server, folder: Path, *, url: str = "", connection: Mapping[str, Any]) -> None:
        """`url` is where the worker finds the broker, if elsewhere; `connection`, the settings of its connection."""
        self._broker = broker
        self._folder = folder
        (folder / "run").mkdir(exist_ok=True)
        settings = {
            "folder": str(folder),
            "broker": url or broker.url,
            "connection": dict(connection),
            "imports": IMPORTS,
        }
        (folder / "application.py").write_text(APPLICATION.format(**settings))
        self._sender = celery.Celery("sender", broker=broker.url)
        self._sender.conf.task_default_queue = "default"
        with (folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", *arguments()],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": f"{ROOTFS}/worker{PROGRAMS}/python"},
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o027,
            )

    @property
    def log(self) -> str:
        """The worker's log."""
        return (self._folder / "log").read_text()

    @property
    def state(self) -> Mapping[str, Any]:
        """The worker's state file; not connected if there is none."""
        file = self._folder / "run" / "state.json"
        return json.loads(file.read_text()) if file.exists() else {"connected": False, "queues": [], "active": []}

    @property
    def consumes(self) -> tuple[str, ...]:
        """The queues it consumes."""
        return tuple(self.state["queues"])

    @property
    def started(self) -> list[str]:
        """The tasks that have started, in their order."""
        ledger = self._folder / "ledger"
        return ledger.read_text().split() if ledger.exists() else []

    def waiting(self, queue: str = "default") -> int:
        """The messages that no worker has taken."""
        with self._broker.client(0) as client:
            return client.llen(queue)

    def send(self, name: str, queue: str = "default", map_index: int = -1) -> None:
        """Send a task."""
        arguments = (workload(name, map_index),)
        self._sender.send_task("execute_workload", arguments, task_id=name, queue=queue, ignore_result=True)

    def put(self, message: bytes | str, queue: str = "default") -> None:
        """Write a message to a queue, as any task can."""
        with self._broker.client(0) as client:
            client.lpush(queue, message)

    def command(self, name: str, **arguments: Any) -> list[Any]:
        """Send a command of Celery's remote control; returns the workers' replies."""
        return self._sender.control.broadcast(name, arguments=arguments, reply=True, limit=1, timeout=PATIENCE_SECONDS)

    def finish(self, *names: str, state: str = "success") -> None:
        """Let tasks end in this state; "none" is the state of a task whose supervisor fails."""
        for name in names:
            part = self._folder / f"ends-{name}"
            part.write_text(state)
            part.rename(self._folder / f"end-{name}")

    def cordon(self) -> None:
        """As the lifecycle service cordons it."""
        (self._folder / "retired").touch()

    def announce_stop(self) -> None:
        """What the unit does before it sends the signal."""
        (self._folder / "run" / "stopping").touch()

    def uncordon(self) -> None:
        """As the lifecycle service uncordons it."""
        (self._folder / "retired").unlink()

    def end(self) -> None:
        """End it and its tasks at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@contextmanager
def running(
    broker: Server, folder: Path, *, url: str = "", connection: Mapping[str, Any] = CONNECTION
) -> Generator[CeleryWorker]:
    """A worker, which ends with the context."""
    worker = CeleryWorker(broker, folder, url=url, connection=connection)
    try:
        yield worker
    except BaseException:
        sys.stderr.write(worker.log)
        raise
    finally:
        worker.end()
