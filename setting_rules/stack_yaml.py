"""The text of the stack file: how numbers are written and what is encrypted. Pulumi's configuration shows neither.

The Pulumi CLI reads the file with Go's yaml.v3, which reads more scalars as numbers than most people expect: 0123 (as
octal), 1_000, 0x10 and 1e3 (https://github.com/go-yaml/yaml/blob/v3.0.1/resolve.go). An account id without quotes loses
its leading zero before the program starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_NUMBER = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?|\.(?:inf|Inf|INF))"
    r"|\.(?:nan|NaN|NAN)",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?(?:[Tt ].*)?", re.ASCII)
# A number that everyone reads the same way. A longer one does not fit in 64 bits.
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d+)?")


@dataclass(frozen=True)
class Unclear:
    """Placeholder for an unquoted number or date in the stack file that is not what it looks like."""

    text: str
    line: int
    is_key: bool = False
    """Whether the key itself is unclear; this then replaces its value."""

    @property
    def number(self) -> int | float | None:
        """The number that Pulumi reads; None for a date, infinity or NaN."""
        plain = self.text.replace("_", "")
        if re.fullmatch(r"[-+]?0[0-7]+", plain):
            return int(plain, 8)
        try:
            read = float(plain) if _is_decimal(plain) else int(plain, 0)
            return int(read) if read == int(read) else read
        except (ValueError, OverflowError):
            return None


def _is_decimal(plain: str) -> bool:
    return not re.match(r"[-+]?0[xXbBoO]", plain)


def is_unclear(text: str) -> bool:
    """Whether Pulumi reads this unquoted scalar as a date, or as a number in an unusual notation."""
    number = text if text.startswith("_") else text.replace("_", "")
    looks = _NUMBER.fullmatch(number) or _DATE.fullmatch(text)
    return bool(looks) and not _PLAIN_NUMBER.fullmatch(text)


class StackFile:
    """`Pulumi.<stack>.yaml` in the program's directory, as YAML nodes; empty if the configuration is elsewhere."""

    def __init__(self, path: Path, project: str) -> None:
        """The project's name is the namespace of keys that have none."""
        try:
            root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except (OSError, ValueError, yaml.YAMLError):
            root = None  # the CLI has read another file, or reports itself what is wrong with this one
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
        return unclear
    if isinstance(node, yaml.MappingNode) and isinstance(value, dict):
        entries = _entries(node)
        marked = {key: _marked(part, entries.get(key)) for key, part in value.items()}
        for key, _ in node.value:
            if unclear := _unclear(key, is_key=True):
                marked.pop(str(unclear.number), None)
                marked[unclear.text] = unclear
        return marked
    if isinstance(node, yaml.SequenceNode) and isinstance(value, list) and len(value) == len(node.value):
        return [_marked(part, entry) for part, entry in zip(value, node.value, strict=True)]
    return value


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


def _entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {str(key.value): value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}
