"""The scaling service's journal: one JSON object per line, and nothing twice that was said already."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import boot_step

# A decision that changes nothing is told this often, and a queue without workers as long as it has tasks.
QUIET_SECONDS = 60
UNSERVED_SECONDS = 600
# systemd takes the priority of a line from its beginning.
WARNING = "<4>"


class ScalingLog:
    """Tells what happens. Times are seconds of a clock that only goes forward."""

    def __init__(self, write: Callable[[str], None] = boot_step.say) -> None:
        self._write = write
        self._decisions: dict[str, tuple[float, Any]] = {}
        self._unserved: dict[str, float] = {}
        self._failing: dict[str, float] = {}

    def decision(self, now: float, pool: str, facts: Mapping[str, Any], *, news: Any) -> None:
        """A pool's decision: at once when `news` is not what it was, else once a minute."""
        last_time, last_news = self._decisions.get(pool, (float("-inf"), None))
        if news != last_news or now - last_time >= QUIET_SECONDS:
            self._decisions[pool] = (now, news)
            self.event("decision", pool=pool, **facts)

    def unserved(self, now: float, tasks: Mapping[str, int]) -> None:
        """Tasks that wait in queues that no pool consumes: each queue at once, then every ten minutes."""
        self._unserved = {queue: last for queue, last in self._unserved.items() if queue in tasks}
        for queue, count in tasks.items():
            if now - self._unserved.get(queue, float("-inf")) >= UNSERVED_SECONDS:
                self._unserved[queue] = now
                self.warning("no pool consumes this queue", queue=queue, queued=count)

    def failed(self, now: float, what: str, error: object) -> None:
        """Something failed: said when it begins."""
        if what not in self._failing:
            self._failing[what] = now
            self.warning(f"{what} failed", error=boot_step.one_line(error))

    def worked(self, now: float, what: str) -> None:
        """It works: said when it had failed."""
        if what in self._failing:
            self.event(f"{what} works again", after_seconds=round(now - self._failing.pop(what), 1))

    def event(self, event: str, **facts: Any) -> None:
        """Say what happened."""
        self._write(json.dumps({"event": event, **facts}, ensure_ascii=False))

    def warning(self, event: str, **facts: Any) -> None:
        """Say what somebody should look at."""
        self._write(WARNING + json.dumps({"event": event, **facts}, ensure_ascii=False))
