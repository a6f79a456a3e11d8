"""What a stack file has to hold to be accepted: kinds of value, rules between them, and the report of faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from setting_rules.faults import Fault, FaultyValue

if TYPE_CHECKING:
    from settings import Settings

Rule = Callable[["Settings"], Iterator[Fault]]
RULES: tuple[Rule, ...] = ()


def broken_rules(settings: Settings) -> list[Fault]:
    """The faults between values. A rule that reads a value which is itself at fault stays silent."""
    faults: list[Fault] = []
    for rule in RULES:
        try:
            faults.extend(rule(settings))
        except FaultyValue:
            continue
    return faults
