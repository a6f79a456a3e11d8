"""The tasks that run on this node, whatever the worker says about them."""

from __future__ import annotations

import task_processes

from lifecycle.observation import Unit
from lifecycle.worker_file import WorkerFile


class WorkerTasks:
    """Finds and ends the processes below the worker's main process, which outlives the worker's will to take more."""

    def __init__(self, worker_file: WorkerFile) -> None:
        self._worker_file = worker_file
        self._main_pid = 0

    def running(self, unit: Unit | None) -> int | None:
        """How many there are; None while systemd does not say where to look."""
        if unit is None:
            return None
        self._main_pid = unit.main_pid
        return len(task_processes.running_tasks(unit.main_pid, self._worker_file.said)) if unit.main_pid else 0

    def end(self) -> list[str]:
        """End them, so that Airflow tries them again at once; their names."""
        return task_processes.end_tasks(self._main_pid, self._worker_file.said) if self._main_pid else []
