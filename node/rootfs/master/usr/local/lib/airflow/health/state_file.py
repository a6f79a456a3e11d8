"""The result of `watch-services` for `complete-launch`: which services of this master do not work."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from airflow_node import files

PATH = Path("/run/airflow-health/state.json")
# It is written every five seconds. An older file means that `watch-services` hangs.
VALID_SECONDS = 60


def write(troubles: Mapping[str, str], path: Path = PATH) -> None:
    """Write what is wrong, by service. Raises OSError."""
    files.write(path, json.dumps({"at": time.time(), "troubles": troubles}).encode(), 0o644)


def read(path: Path = PATH, now: Callable[[], float] = time.time) -> dict[str, str]:
    """What is wrong, by service. A missing, unreadable or outdated file is a trouble of airflow-health itself."""
    try:
        state = json.loads(path.read_text())
        if now() - state["at"] < VALID_SECONDS:
            return state["troubles"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {"health": "has no recent report about the other services"}
