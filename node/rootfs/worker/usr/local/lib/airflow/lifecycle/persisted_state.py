"""What the lifecycle service must not forget when it is restarted; a reboot may forget it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

# Twice as much as it can need.
ROOM_BYTES = 512


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Attributes:
    draining_since: the monotonic time at which draining began; None if it has not.
    stopping_since: when a worker that leaves by itself was told to stop; None if it was not, or works again.
    terminating: whether Auto Scaling was seen to end this instance.
    spot_end: when EC2 takes it back, if it has said so.
    boot_noted: whether this boot's length is on the board.
    """

    draining_since: float | None = None
    stopping_since: float | None = None
    terminating: bool = False
    spot_end: float | None = None
    boot_noted: bool = False

    def with_draining_since(self, since: float) -> Self:
        """The same, and draining."""
        return replace(self, draining_since=since)

    def with_end(self, *, terminating: bool, spot_end: float | None) -> Self:
        """The same, and what else there is to say about the end: nothing of it is ever taken back."""
        return replace(
            self,
            terminating=self.terminating or terminating,
            spot_end=self.spot_end if spot_end is None else spot_end,
        )

    def with_stopping_since(self, since: float | None) -> Self:
        """The same, and the worker told to stop since then, or at work."""
        return replace(self, stopping_since=since)

    def with_boot_noted(self) -> Self:
        """The same, and the boot noted."""
        return replace(self, boot_noted=True)

    def write(self, path: Path) -> None:
        """Write it; OSError if there is no space. A file that exists can always be overwritten, because it never grows.

        The file is complete at any moment: the kernel writes so little in one step.
        """
        text = json.dumps(asdict(self)).ljust(ROOM_BYTES)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), "wb", buffering=0) as file:
            file.write(text.encode())
            file.truncate()

    @classmethod
    def read(cls, path: Path) -> Self:
        """What was written; an empty memory if nothing can be read. A missing field means that it was not set."""
        try:
            kept = json.loads(path.read_text())
            return cls(
                draining_since=_time(kept.get("draining_since")),
                stopping_since=_time(kept.get("stopping_since")),
                terminating=bool(kept.get("terminating")),
                spot_end=_time(kept.get("spot_end")),
                boot_noted=bool(kept.get("boot_noted")),
            )
        except (OSError, ValueError, TypeError, AttributeError):
            return cls()


def _time(kept: Any) -> float | None:
    return None if kept is None else float(kept)
