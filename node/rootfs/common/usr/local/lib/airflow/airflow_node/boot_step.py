"""A step of the boot: it ends with one sentence for the operator, whether it succeeded or failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from airflow_node.log import say


class StepFailedError(Exception):
    """The step has failed, and a retry would not help. The message is the sentence that the operator reads."""


def run(name: str, step: Callable[[], str]) -> int:
    """Run a step; returns the exit code. The step returns the sentence that describes its outcome."""
    started = time.monotonic()
    try:
        outcome = step()
    except StepFailedError as failure:
        say(f"{name} failed after {time.monotonic() - started:.1f} s: {failure}")
        return 1
    say(f"{outcome} ({time.monotonic() - started:.1f} s)")
    return 0


def required(environment: Mapping[str, str], name: str) -> str:
    """A variable that airflow.env must hold. Raises StepFailedError if it is missing or empty."""
    value = environment.get(name, "")
    if not value:
        raise StepFailedError(f"{name} is missing in /etc/airflow/airflow.env, which cloud-init writes.")
    return value
