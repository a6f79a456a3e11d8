"""The load of the soak test: a constant number of tasks in progress in both pools."""

from __future__ import annotations

import random
from collections.abc import Mapping

from lab.workload import UNFINISHED, Task, Workload

SECONDS = (*(15, 25, 40) * 5, 150)
"""How long tasks take: a few take longer than a reclaimed instance can wait. A later try takes AGAIN."""
AGAIN = 5


class Load:
    """Keeps as many tasks of each queue in progress as its level says, Bash and Python tasks in turn."""

    def __init__(self, work: Workload, levels: Mapping[str, int]) -> None:
        self._work = work
        self._random = random.Random(4)  # noqa: S311 - the same tasks in every soak
        self._open: dict[str, dict[str, Task | None]] = {queue: {} for queue in levels}
        self.levels = dict(levels)
        self.started: list[str] = []

    def feed(self) -> None:
        """Read the state of the tasks, and start a new one for each that has ended."""
        if names := [run for runs in self._open.values() for run in runs]:
            found = {task.run: task for task in self._work.tasks(names)}
            for queue, runs in self._open.items():
                self._open[queue] = {run: found.get(run) for run in runs if _unfinished(found.get(run))}
        for queue, runs in self._open.items():
            for _ in range(self.levels[queue] - len(runs)):
                kind = ("bash", "python")[len(self.started) % 2]
                [run] = self._work.start(queue, self._random.choice(SECONDS), kind=kind, again=AGAIN)
                runs[run] = None
                self.started.append(run)

    def running_on(self, address: str) -> int:
        """The tasks that a worker ran when the state was last read."""
        tasks = [task for runs in self._open.values() for task in runs.values() if task is not None]
        return sum(task.state == "running" and task.address == address for task in tasks)

    def stop(self) -> list[Task]:
        """Start nothing more, and wait; returns every task, ended or not."""
        try:
            return self._work.wait_ended(self.started)
        except TimeoutError:
            return self._work.tasks(self.started)


def _unfinished(task: Task | None) -> bool:
    return task is None or task.state in UNFINISHED
