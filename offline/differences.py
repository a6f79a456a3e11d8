"""What differs between two sets of inputs, property by property."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from offline.documents import file_diffs, files_of
from offline.recording import Resource
from offline.secrecy import MASK
from offline.stateful import forces_replacement

ABSENT = object()
"""Stands for a property that is not there on one side."""

_COMPARED_OPTIONS = ("protect", "retain_on_delete", "delete_before_replace", "ignore_changes", "replace_on_changes")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One property that differs. `old` and `new` are ABSENT where the property is; secrets are masked in them."""

    path: str
    old: Any = ABSENT
    new: Any = ABSENT
    secret: bool = False
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Unified diffs by file, for values that are documents; `old` and `new` say nothing then."""
    replaces: bool = False


def differences(old: Resource, new: Resource) -> list[Difference]:
    """Everything that an update of `old` to `new` would change, without what `new` is told to ignore."""
    found: list[Difference] = []
    for key in sorted(old.inputs.keys() | new.inputs.keys()):
        before, after = old.inputs.get(key, ABSENT), new.inputs.get(key, ABSENT)
        if before == after:
            continue
        replaces = forces_replacement(new.type, key) or _covered(key, new.options.replace_on_changes)
        if key in old.secret_inputs | new.secret_inputs:
            sides = [value if value is ABSENT else MASK for value in (before, after)]
            found.append(Difference(path=key, old=sides[0], new=sides[1], secret=True, replaces=replaces))
            continue
        found += _of_property(key, before, after, replaces)
    return [
        difference for difference in found if not _covered(difference.path, new.options.ignore_changes)
    ] + _of_options(old, new)


def _of_property(key: str, before: Any, after: Any, replaces: bool) -> Iterator[Difference]:
    old_files, new_files = files_of(key, before), files_of(key, after)
    if old_files is not None and new_files is not None:
        files = file_diffs(old_files, new_files)
        if files:  # JSON that is only written differently is the same
            yield Difference(path=key, files=files, replaces=replaces)
        return
    for path, old, new in _leaves(key, before, after):
        yield Difference(path=path, old=old, new=new, replaces=replaces)


def _leaves(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _leaves(f"{path}.{key}", old.get(key, ABSENT), new.get(key, ABSENT))
    elif isinstance(old, list) and isinstance(new, list) and any(isinstance(item, Mapping) for item in old + new):
        for index in range(max(len(old), len(new))):
            pair = [side[index] if index < len(side) else ABSENT for side in (old, new)]
            yield from _leaves(f"{path}[{index}]", *pair)
    else:
        yield path, old, new


def _of_options(old: Resource, new: Resource) -> list[Difference]:
    return [
        Difference(path=f"option {name}", old=getattr(old.options, name), new=getattr(new.options, name))
        for name in _COMPARED_OPTIONS
        if getattr(old.options, name) != getattr(new.options, name)
    ]


def _covered(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether an option that names property paths means this one: itself, something above it, or everything."""
    return any(
        pattern == "*" or path == pattern or path.startswith((f"{pattern}.", f"{pattern}[")) for pattern in patterns
    )
