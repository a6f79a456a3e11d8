"""What the steps of a node's boot share: plain sentences for the journal, and patience with a network."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

# Half a minute in all: new instance roles and fresh objects need a moment, and so does a network that has just come up.
DELAYS_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0)


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
    delays: tuple[float, ...] = DELAYS_SECONDS,
) -> Result:
    """The result of the attempt, repeated after each of the delays (seconds) while its error is one that may pass."""
    for delay in delays:
        try:
            return attempt()
        except StepFailedError:
            raise
        except Exception as error:
            if not may_pass(error):
                raise
            say(f"{what}: {one_line(error)}; the next attempt is in {delay:.0f} s")
            wait(delay)
    return attempt()


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
