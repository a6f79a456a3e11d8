"""What the lifecycle service must not forget when it is restarted; a reboot may forget it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Attributes:
    draining_since: the monotonic time at which draining began; None if it has not.
    boot_noted: whether this boot's length is on the board.
    """

    draining_since: float | None = None
    boot_noted: bool = False

    def with_draining_since(self, now: float) -> Self:
        """The same, and draining."""
        return replace(self, draining_since=now)

    def with_boot_noted(self) -> Self:
        """The same, and the boot noted."""
        return replace(self, boot_noted=True)

    def write(self, path: Path) -> None:
        """Keep it. The file is whole at any moment."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)))
        new.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What was kept; an empty memory where there is none that can be read."""
        try:
            kept = json.loads(path.read_text())
            since = kept["draining_since"]
            return cls(draining_since=None if since is None else float(since), boot_noted=bool(kept["boot_noted"]))
        except (OSError, ValueError, TypeError, KeyError):
            return cls()
