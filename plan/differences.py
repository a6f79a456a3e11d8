"""What differs between two sets of inputs, property by property."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.recording import Resource
from plan.documents import file_diffs, files_of
from plan.redaction import MASK
from plan.references import Renewal
from plan.replacement import SETS, forces_replacement

ABSENT = object()
"""Stands for a property that is not there on one side."""

_NAMING_KEYS = ("name", "key", "id", "resourceType")

_COMPARED_OPTIONS = ("protect", "retain_on_delete", "delete_before_replace", "ignore_changes", "replace_on_changes")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One property that differs. `old` and `new` are ABSENT where the property is; secrets are masked in them."""

    path: str
    old: Any = ABSENT
    new: Any = ABSENT
    secret: bool = False
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Unified diffs by file, for values that are documents; `old` and `new` say nothing then."""
    replaces: bool = False
    follows: str = ""
    """The resources whose outputs it uses and whose values will change; `old` and `new` are then meaningless."""

    @property
    def reason(self) -> str:
        """The reason for a replacement that it forces."""
        return f"{self.path} follows {self.follows}" if self.follows else f"{self.path} changes"

    @property
    def key(self) -> str:
        """The top-level input that contains the path."""
        return re.split(r"[.\[]", self.path, maxsplit=1)[0]


def differences(old: Resource, new: Resource) -> list[Difference]:
    """Everything that an update of `old` to `new` would change, without what `new` is told to ignore."""
    found: list[Difference] = []
    for key in sorted(old.inputs.keys() | new.inputs.keys()):
        before, after = (_sorted_sets(key, side.inputs.get(key, ABSENT), SETS.get(new.type, ())) for side in (old, new))
        if before == after or _covered(key, new.options.ignore_changes):
            continue
        replaces = forces_replacement(new.type, key, before, after) or _covered(key, new.options.replace_on_changes)
        if key in old.secret_inputs | new.secret_inputs:
            sides = [value if value is ABSENT else MASK for value in (before, after)]
            found.append(Difference(path=key, old=sides[0], new=sides[1], secret=True, replaces=replaces))
            continue
        found += _of_property(key, before, after, new, replaces)
    return [*found, *_of_default_tags(old, new), *_of_options(old, new)]


def followed(new: Resource, renewals: Mapping[str, Renewal]) -> list[Difference]:
    """The inputs that use an output whose value will change. `renewals` are by URN."""
    names: dict[tuple[str, str], list[str]] = {}
    for key, urns in new.property_dependencies.items():
        for renewal in (renewals[urn] for urn in urns if urn in renewals):
            for path in renewal.paths(key, new.inputs.get(key)):
                names.setdefault((key, path), []).append(renewal.name)
    return [
        Difference(
            path=path,
            follows=", ".join(dict.fromkeys(found)),
            replaces=forces_replacement(new.type, key, None, None) or _covered(path, new.options.replace_on_changes),
        )
        for (key, path), found in names.items()
        if not _covered(path, new.options.ignore_changes)
    ]


def _of_property(key: str, before: Any, after: Any, resource: Resource, replaces: bool) -> Iterator[Difference]:
    old_files, new_files = files_of(key, before), files_of(key, after)
    if old_files is not None and new_files is not None:
        files = file_diffs(old_files, new_files)
        if files:  # JSON that is only written differently is the same
            yield Difference(path=key, files=files, replaces=replaces)
        return
    for leaf in _leaves(_Leaf(key, key, before, after)):
        if not _covered(leaf.engine_path, resource.options.ignore_changes):
            yield Difference(path=leaf.path, old=leaf.old, new=leaf.new, replaces=replaces)


def _sorted_sets(path: str, value: Any, sets: Container[str]) -> Any:
    """The value with one order for whatever is a set."""
    if isinstance(value, Mapping):
        return {key: _sorted_sets(f"{path}.{key}", item, sets) for key, item in value.items()}
    if isinstance(value, list):
        items = [_sorted_sets(path, item, sets) for item in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if path in sets else items
    return value


@dataclass(frozen=True)
class _Leaf:
    """Two values at one place. `path` is for readers: it gives items by name where they have one, not by index."""

    path: str
    engine_path: str
    old: Any
    new: Any


def _leaves(at: _Leaf) -> Iterator[_Leaf]:
    old, new = at.old, at.new
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _leaves(
                _Leaf(f"{at.path}.{key}", f"{at.engine_path}.{key}", old.get(key, ABSENT), new.get(key, ABSENT))
            )
    elif isinstance(old, list) and isinstance(new, list) and any(isinstance(item, Mapping) for item in old + new):
        sides = [_by_name(side) for side in (old, new)]
        if sides[0] is None or sides[1] is None:
            sides = [dict(enumerate(side)) for side in (old, new)]
        before, after = sides[0] or {}, sides[1] or {}
        for name in [*before, *(name for name in after if name not in before)]:
            index = list(after if name in after else before).index(name)
            yield from _leaves(
                _Leaf(
                    f"{at.path}[{name}]",
                    f"{at.engine_path}[{index}]",
                    before.get(name, ABSENT),
                    after.get(name, ABSENT),
                )
            )
    else:
        yield at


def _by_name(items: list[Any]) -> dict[Any, Any] | None:
    """The items by their identifying key, such as a parameter's name or a tag's key; None if they have none."""
    for key in _NAMING_KEYS:
        names = [item.get(key) for item in items if isinstance(item, Mapping)]
        if len(names) == len(items) and all(isinstance(name, str) for name in names) and len({*names}) == len(names):
            return dict(zip(names, items, strict=True))
    return None


def _of_default_tags(old: Resource, new: Resource) -> Iterator[Difference]:
    """Changes of the provider's default tags; a resource's own tags are among its inputs."""
    before, after = ({**each.outputs.get("tagsAll", {})} for each in (old, new))
    for tag in sorted(before.keys() | after.keys()):
        pair = before.get(tag, ABSENT), after.get(tag, ABSENT)
        own = [each.inputs.get("tags", {}).get(tag, ABSENT) for each in (old, new)]
        if pair[0] != pair[1] and own[0] == own[1]:
            secret = "tagsAll" in old.secret_outputs | new.secret_outputs
            sides = [MASK if secret and value is not ABSENT else value for value in pair]
            yield Difference(path=f"tagsAll.{tag}", old=sides[0], new=sides[1], secret=secret)


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
