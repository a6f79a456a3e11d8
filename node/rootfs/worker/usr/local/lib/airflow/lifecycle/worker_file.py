"""The file in which the worker says each second how it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from airflow_node import files

from lifecycle.observation import Worker

PATH = Path("/run/airflow-worker/state.json")
# A thousand tasks with the longest names that Airflow allows.
MOST_BYTES = 1_000_000


class WorkerFile:
    """Reads the file, and knows how old it is by when it last changed: a clock that is set makes no worker silent."""

    def __init__(self, path: Path = PATH) -> None:
        self._path = path
        self._written: Any = None
        self.said: Mapping[str, Any] | None = None
        """The worker's last words, also after they are gone."""
        self._changed = 0.0

    def read(self, now: float) -> Worker | None:
        """What the worker says; None if there is no such file, or none that can be read."""
        try:
            said = json.loads(files.read_untrusted(self._path, most_bytes=MOST_BYTES))
            worker = _worker(said)
            if said["at"] != self._written:
                self._written, self._changed = said["at"], now
        except (OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
            self._written = None
            return None
        self.said = said
        return replace(worker, age_seconds=now - self._changed)


def _worker(said: Any) -> Worker:
    outcomes = said.get("outcomes", {})
    return Worker(
        age_seconds=0.0,
        connected=bool(said["connected"]),
        queues=tuple(map(str, said["queues"])),
        reserved=int(said["reserved"]),
        tasks=tuple(str(task["task"]) for task in said["active"]),
        failed_at_once=max(0, int(outcomes.get("failed_at_once", 0))),
        others=max(0, int(outcomes.get("others", 0))),
    )
