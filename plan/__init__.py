"""Compares what a stack file's program registers with another revision's, and prints it for reviewers and for tools."""

from __future__ import annotations

from dataclasses import dataclass

from engine.recording import Recording
from plan.changes import Changes
from plan.resources import Names


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
    changes: Changes | None = None

    def names(self) -> Names:
        """The names for ids and ARNs of both runs."""
        return Names(self.recording, *([self.changes.base] if self.changes else []))
