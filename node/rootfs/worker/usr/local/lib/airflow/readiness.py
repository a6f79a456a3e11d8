"""Whether this worker does its work, for `complete-launch`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from airflow_node import files

STATE = Path("/run/airflow-worker/state.json")
# The worker writes it every second.
VALID_SECONDS = 15
MOST_BYTES = 1_000_000


def is_ready(state: Path = STATE, now: Callable[[], float] = time.time) -> bool:
    """Whether the worker has just written that it is connected to the broker."""
    try:
        written = json.loads(files.read_untrusted(state, most_bytes=MOST_BYTES))
        return bool(written["connected"]) and now() - written["at"] < VALID_SECONDS
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return False


def describe() -> str:
    """Where to find out why it does not."""
    return "The journal of airflow-worker shows why."
