"""Whether this worker is ready to take tasks, for `complete-launch`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from lifecycle.worker_service import FRESH_SECONDS, STATE_FILE, UNREADABLE, read_state_file


def is_ready(path: Path = STATE_FILE, now: Callable[[], float] = time.time) -> bool:
    """Whether the worker has just written that it is connected to the broker."""
    try:
        content = read_state_file(path)
        return bool(content["connected"]) and now() - content["at"] < FRESH_SECONDS
    except UNREADABLE:
        return False


def describe() -> str:
    """Where to find the reason if it is not ready."""
    return "The journal of airflow-worker shows why."
