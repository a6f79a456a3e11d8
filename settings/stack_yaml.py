"""The text of the stack file: how numbers are written, and what is encrypted. Pulumi's configuration shows neither.

The Pulumi CLI reads the file with Go's yaml.v3, which reads more scalars as numbers than most people expect: 0123 (as
octal), 1_000, 0x10 and 1e3 (https://github.com/go-yaml/yaml/blob/v3.0.1/resolve.go). An account id without quotes loses
its leading zero before the program starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

_NUMBER = re.compile(
    r"[-+]?(?:(?P<digits>0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9]\d*)"
    r"|(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?|(?P<infinity>\.(?:inf|Inf|INF)))|(?P<nan>\.(?:nan|NaN|NAN))",
    re.ASCII,
)
_BASES = {"x": 16, "b": 2, "o": 8}
_TIME = r"(\d\d?):(\d\d?):(\d\d?)(?:[.,](\d+))?"
_DATE = re.compile(
    rf"(?P<day>\d{{4}}-\d\d?-\d\d?)(?:[Tt](?P<time>{_TIME})(?:Z|(?P<zone>[-+]\d\d:\d\d))| (?P<utc>{_TIME}))?", re.ASCII
)
# A number that all YAML parsers read the same way. A longer one may not fit in 64 bits.
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d+)?")


@dataclass(frozen=True)
class Unclear:
    """Placeholder for an unquoted number or date in the stack file that YAML reads as something else."""

    text: str
    line: int
    is_key: bool = False
    """Whether the key itself is unclear; this then replaces its value."""

    @property
    def number(self) -> int | float | None:
        """The number that Pulumi reads; None for a date, infinity or NaN."""
        read = read_by_pulumi(self.text)
        return None if isinstance(read, str) else read


class Written:
    """A number that Pulumi prints in another form than the file has it: 2 for 2.0."""

    text: str


class _WrittenInt(int, Written):
    pass


class _WrittenFloat(float, Written):
    pass


def read_by_pulumi(text: str) -> int | float | str | None:
    """What Pulumi passes to the program for an unquoted number or date; None for any other scalar.

    A date becomes the string that Go prints for it. Infinity and NaN stay as they are written: the CLI itself ends with
    an error for them.
    """
    found = _NUMBER.fullmatch(text if text.startswith("_") else text.replace("_", ""))
    if found is None:
        return _date(text)
    if found["infinity"] or found["nan"]:
        return text
    number = _whole(found[0], found["digits"]) if found["digits"] else None
    if number is not None:
        return number
    try:
        read = float(found[0])
        return int(read) if read == int(read) else read
    except (ValueError, OverflowError):  # Go reads a number that is too large for its types as a string
        return None


def _whole(number: str, digits: str) -> int | None:
    """An integer in any notation, if Go's 64 bits hold it."""
    if len(digits) > 2 + 64:
        return None
    octal = len(digits) > 1 and digits[0] == "0"
    sign = -1 if number[0] == "-" else 1
    read = sign * int(digits, _BASES.get(digits[1].lower(), 8) if octal else 10)
    return read if -(2**63) <= read < 2**64 else None


def _date(text: str) -> str | None:
    """A date in one of the layouts of yaml.v3, as Go prints it."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    time, zone = found["time"] or found["utc"] or "0:0:0", (found["zone"] or "").replace(":", "")
    clock, _, fraction = time.replace(",", ".").partition(".")
    try:
        year, month, day = map(int, found["day"].split("-"))
        hour, minute, second = map(int, clock.split(":"))
        moment = datetime(year, month, day, hour, minute, second)
    except ValueError:  # such as the 45th of the month, which Go reads as a string
        return None
    fraction = f".{fraction}".rstrip("0.")
    return f"{moment}{fraction} {zone or '+0000'} {zone or 'UTC'}"


def is_unclear(text: str) -> bool:
    """Whether Pulumi reads this unquoted scalar as a date, or as a number in an unusual notation."""
    return not _PLAIN_NUMBER.fullmatch(text) and read_by_pulumi(text) is not None


class StackFile:
    """`Pulumi.<stack>.yaml` in the program's directory, as YAML nodes; empty if the configuration is elsewhere."""

    def __init__(self, path: Path, project: str) -> None:
        """The project's name is the namespace of keys that have none."""
        try:
            root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
            _merge(root)
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            root = None  # the CLI has read another file, or reports the error in this one itself
        config = _entries(_entries(root).get("config"))
        self._nodes = {key if ":" in key else f"{project}:{key}": node for key, node in config.items()}

    def marked(self, full_key: str, value: Any) -> Any:
        """The value of a key, with each unclear scalar replaced by its placeholder."""
        return _marked(value, self._nodes.get(full_key))

    def encrypted(self, full_key: str) -> tuple[tuple[str | int, ...], ...]:
        """The paths of the encrypted values below a key."""
        node = self._nodes.get(full_key)
        return tuple(_encrypted(node, ())) if node else ()


def _marked(value: Any, node: yaml.Node | None) -> Any:
    if unclear := _unclear(node):
        # Pulumi may have read another file (`--config-file`), and the scalar's tag may make it a string.
        return unclear if value == read_by_pulumi(unclear.text) else value
    if isinstance(node, yaml.MappingNode) and isinstance(value, dict):
        entries = _entries(node)
        marked = {key: _marked(part, entries.get(key)) for key, part in value.items()}
        for key, _ in node.value:
            unclear = _unclear(key, is_key=True)
            if unclear and (name := str(read_by_pulumi(unclear.text))) in marked:
                del marked[name]
                marked[unclear.text] = unclear
        return marked
    if isinstance(node, yaml.SequenceNode) and isinstance(value, list) and len(value) == len(node.value):
        return [_marked(part, entry) for part, entry in zip(value, node.value, strict=True)]
    if isinstance(node, yaml.ScalarNode) and node.style is None and type(value) in (int, float):
        return _written(value, node.value)
    return value


def _written(number: int | float, text: str) -> int | float:
    if text == str(number) or number != read_by_pulumi(text):
        return number
    written = _WrittenInt(number) if isinstance(number, int) else _WrittenFloat(number)
    written.text = text
    return written


def _unclear(node: yaml.Node | None, *, is_key: bool = False) -> Unclear | None:
    if isinstance(node, yaml.ScalarNode) and node.style is None and is_unclear(node.value):
        return Unclear(node.value, node.start_mark.line + 1, is_key)
    return None


def _encrypted(node: yaml.Node, at: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(node, yaml.SequenceNode):
        for place, entry in enumerate(node.value):
            yield from _encrypted(entry, (*at, place))
    entries = _entries(node)
    if entries.keys() == {"secure"}:
        yield at
        return
    for key, entry in entries.items():
        yield from _encrypted(entry, (*at, key))


def _merge(node: yaml.Node | None) -> None:
    """Write the merged keys (<<) into every mapping; its own keys win. RecursionError for an alias that never ends."""
    if isinstance(node, yaml.MappingNode):
        yaml.constructor.SafeConstructor().flatten_mapping(node)
    for part in node.value if isinstance(node, yaml.CollectionNode) else ():
        for child in part if isinstance(part, tuple) else (part,):
            _merge(child)


def _entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {str(key.value): value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}
