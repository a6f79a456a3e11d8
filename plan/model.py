"""What a plan is made of, before it is written in one of the formats."""

from __future__ import annotations

from dataclasses import dataclass

from engine.recording import Recording
from plan.changes import Changes
from plan.labels import Names


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run of the program, and how it differs from another revision's."""

    project: str
    stack: str
    account_id: str
    region: str
    recording: Recording
    base: str = ""
    """The revision it is compared with; empty if there is none."""
    base_recording: Recording | None = None
    changes: Changes | None = None

    def names(self) -> Names:
        """The names for ids and ARNs of both runs."""
        return Names(*filter(None, (self.recording, self.base_recording)))
