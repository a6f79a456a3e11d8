"""A service's journal: one JSON object per line. A failure is logged when it begins and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_node import log


class ServiceLog:
    """Logs what happens. Times are seconds of a monotonic clock."""

    def __init__(self, write: Callable[[str], None] = log.say) -> None:
        self._write = write
        self._failing: dict[str, float] = {}

    def failed(self, now: float, what: str, error: object) -> None:
        """Something failed: logged when the failure begins."""
        if what not in self._failing:
            self._failing[what] = now
            self.warning(f"{what} failed", error=log.one_line(error))

    def worked(self, now: float, what: str) -> None:
        """It works: logged if it had failed before."""
        if what in self._failing:
            self.event(f"{what} works again", after_seconds=round(now - self._failing.pop(what), 1))

    def event(self, event: str, **facts: Any) -> None:
        """Log what happened."""
        self._write(log.entry(event, **facts))

    def warning(self, event: str, **facts: Any) -> None:
        """Log something that needs an operator's attention."""
        self._write(log.WARNING + log.entry(event, **facts))
