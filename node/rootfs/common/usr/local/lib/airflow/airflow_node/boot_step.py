"""What the steps of a node's boot share: plain sentences for the journal, and patience with a network."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
clock = time.monotonic

# Most faults of a service or of the network are over by then. If not, a replacement node may have better luck.
PATIENCE_SECONDS = 600
LONGEST_DELAY_SECONDS = 30.0
SAY_SECONDS = 60


class StepFailedError(Exception):
    """The step cannot be done. The message is the one sentence that the operator reads."""


def say(sentence: str) -> None:
    """Write one line to the journal."""
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def run(name: str, step: Callable[[], str]) -> int:
    """Do a step; returns the exit code. The step returns the sentence that tells what it has done."""
    started = time.monotonic()
    try:
        outcome = step()
    except StepFailedError as failure:
        say(f"{name} failed after {time.monotonic() - started:.1f} s: {failure}")
        return 1
    say(f"{outcome} ({time.monotonic() - started:.1f} s)")
    return 0


def patiently(
    attempt: Callable[[], Result],
    *,
    what: str,
    may_pass: Callable[[Exception], bool],
    delays: Iterable[float],
) -> Result:
    """The result of the attempt, retried after each of the delays (seconds) while its error is one that may pass.

    Logs the first failure, and after that at most one a minute.
    """
    began, said = clock(), None
    for delay in delays:
        try:
            return attempt()
        except StepFailedError:
            raise
        except Exception as error:
            if not may_pass(error):
                raise
            if said is None or clock() - said >= SAY_SECONDS:
                said = clock()
                say(f"{what}: {one_line(error)}; trying again, for {said - began:.0f} s so far")
            wait(delay)
    return attempt()


def backoff(seconds: float = PATIENCE_SECONDS) -> Iterator[float]:
    """Growing random delays, `seconds` in all: with fixed ones all nodes of a launch would retry at the same time.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ (full jitter)
    """
    end, longest = clock() + seconds, 1.0
    while (left := end - clock()) > 0:
        yield min(left, random.uniform(0, longest))  # noqa: S311 - no secret
        longest = min(2 * longest, LONGEST_DELAY_SECONDS)


def wait(seconds: float) -> None:
    """Let time pass before the next attempt."""
    time.sleep(seconds)


def write(target: Path, content: bytes, mode: int) -> None:
    """Put a file in its place, so that no other program ever sees half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        # Created with mode 0600.
        file.write(content)
    Path(file.name).chmod(mode)
    Path(file.name).rename(target)


def required(environment: dict[str, str], name: str) -> str:
    """A variable that airflow.env must hold."""
    value = environment.get(name, "")
    if not value:
        raise StepFailedError(f"{name} is missing in /etc/airflow/airflow.env, which cloud-init writes.")
    return value


def one_line(error: object) -> str:
    """An error or a program's output as one line of bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:200]} ... {text[-200:]}"
