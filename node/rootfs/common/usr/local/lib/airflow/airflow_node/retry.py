"""Retries with exponential backoff and jitter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from airflow_node.log import one_line, say

Result = TypeVar("Result")
clock = time.monotonic

# Most faults of a service or of the network are over by then. If not, the node is replaced, which may help.
LIMIT_SECONDS = 600
LONGEST_PAUSE_SECONDS = 30.0
LOG_SECONDS = 60


def call(
    attempt: Callable[[], Result],
    *,
    what: str,
    may_pass: Callable[[Exception], bool],
    pauses: Iterable[float],
) -> Result:
    """The result of the attempt. After an error that `may_pass`, it is repeated after the next of the pauses (seconds).

    Logs the first failure, then at most one a minute.
    """
    began, logged = clock(), None
    for pause in pauses:
        try:
            return attempt()
        except Exception as error:
            if not may_pass(error):
                raise
            if logged is None or clock() - logged >= LOG_SECONDS:
                logged = clock()
                say(f"{what}: {one_line(error)}; trying again, for {logged - began:.0f} s so far")
            wait(pause)
    return attempt()


def backoff(seconds: float = LIMIT_SECONDS) -> Iterator[float]:
    """Growing random pauses, `seconds` in total. With fixed pauses, all nodes of a launch would retry at the same time.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ (full jitter)
    """
    end, longest = clock() + seconds, 1.0
    while (left := end - clock()) > 0:
        yield min(left, random.uniform(0, longest))  # noqa: S311 - no secret
        longest = min(2 * longest, LONGEST_PAUSE_SECONDS)


def wait(seconds: float) -> None:
    """Pause. Tests replace it, together with `clock`."""
    time.sleep(seconds)
