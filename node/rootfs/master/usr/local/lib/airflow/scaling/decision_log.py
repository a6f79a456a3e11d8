"""The scaling service's journal, without repetitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_node import log
from service_log import ServiceLog

# How often a decision that changes nothing is logged, and a queue that has tasks and no pool.
QUIET_SECONDS = 60
UNSERVED_SECONDS = 600
# A limit, because tasks can write any number of entries.
MOST_UNREADABLE = 20


class ScalingLog(ServiceLog):
    """Logs what the service decides, in addition to what every service logs."""

    def __init__(self, write: Callable[[str], None] = log.say) -> None:
        super().__init__(write)
        self._decisions: dict[str, tuple[float, Any]] = {}
        self._unserved: dict[str, float] = {}
        self._unreadable: set[str] = set()

    def decision(self, now: float, pool: str, facts: Mapping[str, Any], *, news: Any) -> None:
        """A pool's decision: at once if `news` differs from the last decision's, otherwise once a minute."""
        last_time, last_news = self._decisions.get(pool, (float("-inf"), None))
        if news != last_news or now - last_time >= QUIET_SECONDS:
            self._decisions[pool] = (now, news)
            self.event("decision", pool=pool, **facts)

    def unserved(self, now: float, tasks: Mapping[str, int]) -> None:
        """Tasks in queues that no pool consumes: each queue at once, then every ten minutes."""
        self._unserved = {queue: last for queue, last in self._unserved.items() if queue in tasks}
        for queue, count in tasks.items():
            if now - self._unserved.get(queue, float("-inf")) >= UNSERVED_SECONDS:
                self._unserved[queue] = now
                self.warning("no pool consumes this queue", queue=queue, queued=count)

    def unreadable(self, faults: Mapping[str, str]) -> None:
        """Entries of the worker registry that are ignored: each is logged once, until it is readable again."""
        self._unreadable &= faults.keys()
        new = [key for key in sorted(faults) if key not in self._unreadable]
        named = new[: max(0, MOST_UNREADABLE - len(self._unreadable))]
        for key in named:
            self.warning(
                "an entry of the worker registry is ignored", key=key[:200], why=faults[key], entries=len(faults)
            )
        self._unreadable.update(named)
