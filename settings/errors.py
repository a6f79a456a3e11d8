"""Faults in a stack file, worded for the person who edits it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

_LONGEST_SHOWN = 100


class FaultyValue(Exception):  # noqa: N818 - not an error: another fault has already been reported
    """A rule has read a value that is itself faulty; the rule then yields nothing more."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing in the stack file that has to be corrected."""

    key: str
    """Path of the key as in the stack file, for example `airflow:workerPools.default.minSize`."""
    given: str
    """What the stack file has there, ready to print; never a value that may be a secret."""
    allowed: str
    """What is allowed there."""
    remedy: str
    """What to do."""

    def __str__(self) -> str:
        return f"{self.key}\n   given:   {self.given}\n   allowed: {self.allowed}\n   to do:   {self.remedy}"


class SettingsError(pulumi.RunError):
    """The stack file cannot be turned into settings. Pulumi prints the message alone, without a traceback."""

    def __init__(self, stack: str, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        numbered = "\n\n".join(f"{number}. {fault}" for number, fault in enumerate(faults, 1))
        super().__init__(
            f"Pulumi.{stack}.yaml has {count}; nothing was created or changed.\n\n{numbered}\n\n"
            "docs/settings.md describes every key."
        )


def counted(count: int, noun: str) -> str:
    """`1 master`, `2 masters`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def shown(value: Any) -> str:
    """A value as it is written in a stack file, shortened if it is long."""
    return cut(json.dumps(value, ensure_ascii=False, default=str))


def cut(text: str) -> str:
    """The text, or only its beginning if it is long."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
