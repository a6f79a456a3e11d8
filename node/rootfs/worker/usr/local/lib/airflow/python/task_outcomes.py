"""Counts how this worker's tasks end: how many have failed at once lately, and how many have not.

A task ends in the process of Celery's pool that supervises it, and is counted in Celery's main process. They are
connected by a pipe with one byte for each task: no entry can be half written, and a killed process leaves no lock
behind.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from celery.signals import task_postrun, task_prerun

# Airflow needs some seconds to start a task, twenty on a busy machine. A task that fails within this time has hardly
# begun.
AT_ONCE_SECONDS = 30.0
# Older outcomes say nothing about the worker's present condition.
WINDOW_SECONDS = 600.0
FAILED_AT_ONCE, OTHER = b"f", b"o"
# As many as the pipe holds.
MOST_BYTES = 65_536

_reader, _writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)


class _Supervised:
    """The task that this process of the pool supervises."""

    since = 0.0
    failed = False


def noting_state(wait: Callable[..., int]) -> Callable[..., int]:
    """Wraps Airflow's wait for the end of a task's process, after which the supervisor knows the task's state.

    Celery does not learn it: for Celery a task has succeeded when its supervisor has done its work.
    """

    @wraps(wait)
    def wait_and_note(supervisor: Any) -> int:
        exit_code = wait(supervisor)
        _Supervised.failed = supervisor.final_state in ("failed", "up_for_retry")
        return exit_code

    return wait_and_note


@task_prerun.connect
def _begin(**_: Any) -> None:
    _Supervised.since, _Supervised.failed = time.monotonic(), False


@task_postrun.connect
def _end(state: str, **_: Any) -> None:
    # Celery ignores a message whose task another worker runs already.
    if state == "IGNORED":
        return
    failed = _Supervised.failed or state == "FAILURE"
    at_once = time.monotonic() - _Supervised.since < AT_ONCE_SECONDS
    with suppress(BlockingIOError):
        os.write(_writer, FAILED_AT_ONCE if failed and at_once else OTHER)


class RecentOutcomes:
    """The tasks that have ended within the window, for one reader in the main process."""

    def __init__(self, reader: int = _reader) -> None:
        self._reader = reader
        self._ended: deque[tuple[float, bool]] = deque()

    def count(self, now: float) -> tuple[int, int]:
        """How many have failed at once, and how many others there were. `now` is of a monotonic clock."""
        with suppress(BlockingIOError):
            self._ended.extend((now, byte == FAILED_AT_ONCE[0]) for byte in os.read(self._reader, MOST_BYTES))
        while self._ended and self._ended[0][0] < now - WINDOW_SECONDS:
            self._ended.popleft()
        failed = sum(failed for _, failed in self._ended)
        return failed, len(self._ended) - failed
