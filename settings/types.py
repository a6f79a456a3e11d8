"""The kinds of value that several sections have: what each accepts, and what to do about a value that it refuses.

A kind of value that only one section has is in the module of that section.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, Strict
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from aws_catalog import limits


@dataclass(frozen=True)
class Allowed:
    """The values that a key accepts, as a sentence and as a test; attached to a type with `Annotated`."""

    sentence: str
    accepts: Callable[[Any], bool]
    remedy: str | Callable[[Any], str]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: Any) -> Any:
        if self.accepts(value):
            return value
        remedy = self.remedy if isinstance(self.remedy, str) else self.remedy(value)
        raise PydanticCustomError("not_allowed", "{allowed}", {"allowed": self.sentence, "remedy": remedy})


def whole_number(low: int, high: int | None, unit: str = "") -> Allowed:
    """An integer from `low` to `high`, both included; `high` None means that there is no upper limit."""
    suffix = f" {unit}" if unit else ""
    if high is None:
        return Allowed(
            f"a whole number from {low} up{suffix and f' ({unit})'}",
            lambda number: number >= low,
            f"set it to {low} or more",
        )
    return Allowed(
        f"a whole number from {low:,} to {high:,}{suffix and f' ({unit})'}",
        lambda number: low <= number <= high,
        lambda number: f"lower it to at most {high:,}" if number > high else f"raise it to at least {low:,}",
    )


def number(low: float, high: float, unit: str) -> Allowed:
    """A number from `low` to `high`, both included, which may have a fraction."""
    return Allowed(
        f"a number from {low:,g} to {high:,g} ({unit})",
        lambda given: low <= given <= high,
        lambda given: f"lower it to at most {high:,g}" if given > high else f"raise it to at least {low:,g}",
    )


def at_least(low: int, what: str, *, at_most: int | None = None) -> Allowed:
    """A list with this number of entries and no duplicates; `what` names the entries."""
    most = f", at most {at_most}" if at_most else ""

    def remedy(entries: tuple[str, ...]) -> str:
        repeated = sorted({entry for entry in entries if entries.count(entry) > 1})
        if repeated:
            return f"keep only one of each: {', '.join(repeated)}"
        return "leave some out" if at_most and len(entries) > at_most else f"give at least {low}"

    return Allowed(
        f"a list of at least {low} {what}{most}, without duplicates",
        lambda entries: low <= len(entries) <= (at_most or len(entries)) and len(set(entries)) == len(entries),
        remedy,
    )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, apart from case and word separators; None if there is none."""
    plain = {_plain(candidate): candidate for candidate in known}
    alike = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.6)
    return plain[alike[0]] if alike else None


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


def one_of(what: str, known: Iterable[str], where: str) -> Allowed:
    words = tuple(known)
    return Allowed(what, set(words).__contains__, lambda word: nearest_or(word, words, where))


def nearest_or(word: str, known: Iterable[str], where: str) -> str:
    alike = nearest(word, known)
    return f"did you mean {alike}? {where}" if alike else where


def matching(pattern: str, sentence: str, remedy: str | Callable[[str], str]) -> Allowed:
    compiled = re.compile(pattern)
    return Allowed(sentence, lambda text: compiled.fullmatch(text) is not None, remedy)


def _log_retention_remedy(days: int) -> str:
    longer = [accepted for accepted in limits.LOG_GROUP_RETENTION_DAYS if accepted >= days]
    if not longer:
        return (
            f"lower it to at most {limits.LOG_GROUP_RETENTION_DAYS[-1]} days, the longest that CloudWatch Logs allows"
        )
    return f"the next accepted value is {longer[0]}"


def name_remedy(text: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).lstrip("-0123456789").strip("-")
    return f"rename it, for example {plain or 'airflow'}"


def in_catalog(module: str) -> str:
    """The end of the remedy for an unknown name: where the known names are."""
    return f"the list is in aws_catalog/{module}.py; if it is new in AWS, add it there"


Number = Annotated[int, Strict()]
Amount = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
AccountId = Annotated[
    str,
    matching(
        r"\d{12}",
        "an AWS account id: 12 digits, in quotes",
        '`aws sts get-caller-identity --query Account` prints it; keep leading zeros, as in "012345670123"',
    ),
]
Name = Annotated[
    str,
    matching(
        r"[a-z](?:-?[a-z0-9])*",
        "lower-case letters, digits and single hyphens; starts with a letter, ends with a letter or digit",
        name_remedy,
    ),
]
LogRetentionDays = Annotated[
    int,
    Strict(),
    Allowed(
        f"one of {', '.join(map(str, limits.LOG_GROUP_RETENTION_DAYS))} (days; CloudWatch Logs accepts no others)",
        limits.LOG_GROUP_RETENTION_DAYS.__contains__,
        _log_retention_remedy,
    ),
]
