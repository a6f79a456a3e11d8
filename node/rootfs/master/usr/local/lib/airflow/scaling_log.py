"""The scaling service's journal, in which nothing is said twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import boot_step
from service_log import ServiceLog

# A decision that changes nothing is told this often, and a queue without workers as long as it has tasks.
QUIET_SECONDS = 60
UNSERVED_SECONDS = 600


class ScalingLog(ServiceLog):
    """Tells what the service decides, besides what every service tells."""

    def __init__(self, write: Callable[[str], None] = boot_step.say) -> None:
        super().__init__(write)
        self._decisions: dict[str, tuple[float, Any]] = {}
        self._unserved: dict[str, float] = {}

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
