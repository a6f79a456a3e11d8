"""What to write instead of a value of the wrong type, such as a string for a number."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from settings.stack_yaml import Written
from settings.types import Allowed, nearest

Remedy = Callable[[Any, Allowed | None], str | None]
"""What to write, from what was given and what is allowed; None if that is not clear."""

_YES, _NO = ("true", "yes", "on", "1", "y"), ("false", "no", "off", "0", "n")
# A number with a unit that people may expect to be required.
_NUMBER_IN_TEXT = re.compile(r"(-?\d+(?:\.\d+)?) ?(?:%|s|gi?b?)?", re.IGNORECASE)


def _text(given: Any, allowed: Allowed | None) -> str | None:
    if isinstance(given, list):
        return f"write {given[0]}, a single string without brackets" if given and isinstance(given[0], str) else None
    # A number may have lost its trailing zeros, and 17.10 and 17.1 are different versions.
    text = given.text if isinstance(given, Written) else json.dumps(given) if isinstance(given, int) else None
    if text and (allowed is None or allowed.accepts(text)):
        return f'put it in quotes: "{text}"'
    if isinstance(given, int) and allowed is not None and not isinstance(given, bool):
        advice = allowed.remedy if isinstance(allowed.remedy, str) else allowed.remedy(str(given))
        return f"put it in quotes, with all its digits; {advice}"
    return None


def _whole_number(given: Any, allowed: Allowed | None) -> str | None:
    percent = allowed is not None and "percent" in allowed.sentence
    if isinstance(given, bool):
        return f"write {100 if given else 0}: it is a percentage of all workers" if percent else None
    number = given if isinstance(given, float) else _number(given)
    if number is None:
        return None
    if percent and 0 < number < 1:
        return f"write {round(number * 100)}: it is a percentage"
    return _within(math.ceil(number) if math.isfinite(number) else number, allowed)


def _fraction(given: Any, allowed: Allowed | None) -> str | None:
    number = _number(given)
    return None if number is None else _within(number, allowed)


def _within(number: float, allowed: Allowed | None) -> str | None:
    """To write this number, or to keep to the range if it is outside."""
    if allowed is not None and not allowed.accepts(number):
        return f"{allowed.remedy if isinstance(allowed.remedy, str) else allowed.remedy(number)}, without quotes"
    if not math.isfinite(number):
        return None
    return f"write {number if isinstance(number, int) else f'{number:g}'}, without quotes"


def _number(given: Any) -> float | None:
    found = _NUMBER_IN_TEXT.fullmatch(given.strip()) if isinstance(given, str) else None
    return float(found[1]) if found else None


def _flag(given: Any, _: Allowed | None) -> str | None:
    word = str(given).strip().lower()
    return "write true, without quotes" if word in _YES else "write false, without quotes" if word in _NO else None


def _list(given: Any, _: Allowed | None) -> str | None:
    if isinstance(given, bool | dict) or not isinstance(given, str | int):
        return None
    entries = given.split(",") if isinstance(given, str) else [str(given)]
    return f"write {json.dumps([entry.strip() for entry in entries], ensure_ascii=False)}"


def _section(given: Any, _: Allowed | None) -> str | None:
    return "write {} for its defaults, or indent its keys below it" if given is True else None


_KINDS: Mapping[str, tuple[str, str, Remedy]] = {
    "string_type": ("a string", "put it in quotes, as it is written in the file", _text),
    "int_type": ("a whole number", "write digits only, without quotes", _whole_number),
    "float_type": ("a number", "write digits, with a dot before a fraction, without quotes", _fraction),
    "bool_type": ("true or false", "write true or false, without quotes", _flag),
    "tuple_type": ("a list", "write it as a list: [first, second]", _list),
    "model_type": ("a section with keys", "indent its keys below it, or use {} if there are none", _section),
    "dict_type": ("a map of names to values", "write one `name: value` on each line below it", lambda *_: None),
}


def what(kind: str) -> str | None:
    """The type that pydantic expected, worded for operators; None for an error that is not about types."""
    return _KINDS[kind][0] if kind in _KINDS else None


def remedy(kind: str, given: Any, allowed: Allowed | None) -> str | None:
    """What to do about a value that is not of this type; None for an error that is not about types."""
    if kind not in _KINDS:
        return None
    _, general, special = _KINDS[kind]
    return special(given, allowed) or general


def choice_remedy(given: Any, expected: str) -> str:
    """What to do about a value that is not one of the choices, which pydantic lists in quotes."""
    alike = nearest(given, re.findall(r"'([^']+)'", expected)) if isinstance(given, str) else None
    return f"did you mean {alike}?" if alike else "write one of these"
