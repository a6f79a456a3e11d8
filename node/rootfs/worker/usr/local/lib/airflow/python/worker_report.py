"""Writes the state of the Celery worker to a file, and consumes no queue while the worker is cordoned or about to stop.

Celery imports it into the worker's main process, as one of its `imports`; the module adds a step to the consumer. A
thread writes the state, so that it stays fresh while the main thread waits for the broker or for the last tasks.
Consumers are changed in the main thread's event loop only, to which they belong.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import task_outcomes
from celery import bootsteps
from celery.signals import worker_init
from celery.utils.log import get_logger
from celery.worker import state as worker_state

STATE_FILE = Path("/run/airflow-worker/state.json")
CORDON_FILE = Path("/run/airflow-lifecycle/retired")
# The unit creates it before it sends the signal to stop. It is deleted with the unit's runtime directory.
STOPPING_FILE = Path("/run/airflow-worker/stopping")
PERIOD_SECONDS = 1.0
# An event loop that has not run for this long reads nothing from the broker, even if the connection is open.
STUCK_SECONDS = 10.0

logger = get_logger(__name__)


class WorkerReport(bootsteps.StartStopStep):
    """The consumer's step: started with every connection to the broker, stopped when the connection ends."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        # The queues of the command line. Celery forgets a cancelled queue when it connects again.
        self._queues = dict(parent.app.amqp.queues.consume_from)
        self._last_turn = float("-inf")
        self._connected = False
        self._timer: Any = None
        self._outcomes = task_outcomes.RecentOutcomes()
        self._writer: threading.Thread | None = None

    def start(self, parent: Any) -> None:
        """Called before the first message is consumed on a new connection."""
        self._connected = True
        _remember_busy_processes(parent.pool)
        _take_what_can_start(parent)
        self._turn(parent)
        self._timer = parent.timer.call_repeatedly(PERIOD_SECONDS, self._turn, (parent,))
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_for_ever, args=(parent,), daemon=True)
            self._writer.start()

    def stop(self, parent: Any) -> None:
        """Called when the connection is lost or the worker shuts down."""
        del parent
        self._connected = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self, consumer: Any) -> None:
        """Once per period in the event loop."""
        self._last_turn = time.monotonic()
        try:
            self._follow_files(consumer)
        except Exception:
            # The next call tries again; an error here would end the worker's connection.
            logger.exception("The consumers could not be changed.")

    def _follow_files(self, consumer: Any) -> None:
        consumed = [queue.name for queue in consumer.task_consumer.queues]
        if CORDON_FILE.exists() or STOPPING_FILE.exists():
            for name in consumed:
                consumer.cancel_task_queue(name)
            return
        for name in self._queues.keys() - consumed:
            # Without this, Celery would forget the queue at the next connection.
            consumer.app.amqp.queues.select_add(self._queues[name])
            consumer.add_task_queue(name)

    def _write_for_ever(self, consumer: Any) -> None:
        while True:
            try:
                _replace(STATE_FILE, json.dumps(self._state(consumer)))
            except Exception:
                logger.exception("%s could not be written.", STATE_FILE)
            time.sleep(PERIOD_SECONDS)

    def _state(self, consumer: Any) -> dict[str, Any]:
        connected = self._connected and time.monotonic() - self._last_turn < STUCK_SECONDS
        # Read before the tasks: if no queue is consumed now, no more tasks arrive.
        queues = _consumed(consumer) if connected else []
        active = _snapshot(worker_state.active_requests)
        reserved = _snapshot(worker_state.reserved_requests)
        failed_at_once, others = self._outcomes.count(time.monotonic())
        return {
            "at": time.time(),
            "connected": connected,
            "queues": queues,
            "reserved": len(reserved.keys() - active.keys()),
            "outcomes": {"failed_at_once": failed_at_once, "others": others + _long(active.values())},
            "active": [
                {"pid": request.worker_pid, "since": request.time_start, "task": task_name(request.args)}
                for request in active.values()
            ],
        }


def _remember_busy_processes(pool: Any) -> None:
    """Mark the pool's busy processes: Celery forgets them with the connection, and would send them another task."""
    processes = getattr(pool, "_pool", None)
    if processes is None or not hasattr(processes, "_busy_workers"):
        return
    for job in tuple(processes._cache.values()):
        if job._accepted and job._write_to is not None:
            processes._busy_workers.add(job._write_to.inqW_fd)


def _take_what_can_start(consumer: Any) -> None:
    """Take a message only if a slot is free, so that other workers take the messages that could not start here.

    Celery counts the messages of one connection only, and forgets tasks that have been running since an earlier one.
    """
    qos = consumer.task_consumer.channel.qos
    may_consume = qos.can_consume

    def can_consume() -> bool:
        begun = worker_state.active_requests | worker_state.reserved_requests
        return len(begun) < consumer.pool.num_processes and may_consume()

    qos.can_consume = can_consume


def task_name(arguments: Any) -> str:
    """The task of a message as users name it: `<dag> <run> <task> [<map index>] try <number>`.

    The only argument of Airflow's messages is a JSON text. Other workloads than tasks are called by their type.
    """
    try:
        workload = json.loads(arguments[0])
        instance = workload.get("ti")
        if instance is None:
            return str(workload["type"])
        index = instance.get("map_index", -1)
        mapped = f" [{index}]" if isinstance(index, int) and index >= 0 else ""
        names = f"{instance['dag_id']} {instance['run_id']} {instance['task_id']}"
        return f"{names}{mapped} try {instance['try_number']}"
    except (TypeError, ValueError, LookupError, AttributeError):
        return "unknown"


def _long(active: Iterable[Any]) -> int:
    """How many tasks have been running for too long to fail at once."""
    now = time.time()
    return sum(now - request.time_start > task_outcomes.AT_ONCE_SECONDS for request in active if request.time_start)


def _snapshot(requests: Any) -> dict[str, Any]:
    """A set's requests by id. If the main thread changes the set meanwhile, Python raises an error."""
    while True:
        try:
            return {request.id: request for request in tuple(requests)}
        except RuntimeError:
            time.sleep(0)


def _consumed(consumer: Any) -> list[str]:
    tasks = consumer.task_consumer
    return sorted(queue.name for queue in tasks.queues if tasks.consuming_from(queue.name))


def _replace(file: Path, text: str) -> None:
    """Replace the file in one step, so that readers see the old text or the new one.

    Not by `airflow_node.files`: Celery's processes and tasks import from this folder only. And its temporary files have
    random names, which would accumulate if the worker is killed; the directory has 64 inodes.
    """
    part = file.with_suffix(".part")
    part.write_text(text)
    # Readable also for root without capabilities. The service's umask is stricter, for the files that tasks write.
    part.chmod(0o644)
    part.replace(file)


@worker_init.connect
def _install(sender: Any, **_: Any) -> None:
    sender.app.steps["consumer"].add(WorkerReport)
