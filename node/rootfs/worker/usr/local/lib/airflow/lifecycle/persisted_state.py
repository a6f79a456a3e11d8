"""State that the lifecycle service needs after a restart and cannot observe. A reboot may lose it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

# Twice the length of the longest text.
FILE_BYTES = 512


@dataclass(frozen=True, kw_only=True)
class PersistedState:
    """Attributes:
    draining_since: when the drain began, in seconds of the monotonic clock; None if it has not.
    stopping_since: when a worker that scales in was stopped; None if it was not, or works again.
    terminating: whether Auto Scaling has begun to end this instance.
    spot_end: when EC2 interrupts the spot instance; None without a notice.
    boot_noted: whether the length of this boot is in the worker registry.
    """

    draining_since: float | None = None
    stopping_since: float | None = None
    terminating: bool = False
    spot_end: float | None = None
    boot_noted: bool = False

    def with_draining_since(self, since: float) -> Self:
        """A copy in which the drain has begun."""
        return replace(self, draining_since=since)

    def with_termination(self, *, terminating: bool, spot_end: float | None) -> Self:
        """A copy with what is known about the end of the instance. A termination is never withdrawn."""
        return replace(
            self,
            terminating=self.terminating or terminating,
            spot_end=self.spot_end if spot_end is None else spot_end,
        )

    def with_stopping_since(self, since: float | None) -> Self:
        """A copy with the time of the stop; None if the worker works."""
        return replace(self, stopping_since=since)

    def with_boot_noted(self) -> Self:
        """A copy in which the boot is recorded."""
        return replace(self, boot_noted=True)

    def write(self, path: Path) -> None:
        """Write the file. OSError if there is no space for a new one.

        An existing file can always be overwritten, because it never grows. It is complete at any moment, because the
        kernel writes so few bytes in one step.
        """
        text = json.dumps(asdict(self)).ljust(FILE_BYTES)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), "wb", buffering=0) as file:
            file.write(text.encode())
            file.truncate()

    @classmethod
    def read(cls, path: Path) -> Self:
        """What was written, or the defaults if the file is missing or cannot be read."""
        try:
            stored = json.loads(path.read_text())
            return cls(
                draining_since=_time(stored.get("draining_since")),
                stopping_since=_time(stored.get("stopping_since")),
                terminating=bool(stored.get("terminating")),
                spot_end=_time(stored.get("spot_end")),
                boot_noted=bool(stored.get("boot_noted")),
            )
        except (OSError, ValueError, TypeError, AttributeError):
            return cls()


def _time(stored: Any) -> float | None:
    return None if stored is None else float(stored)
