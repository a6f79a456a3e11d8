"""What differs between two sets of inputs, property by property."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.recording import Resource
from engine.resource_types import forces_replacement, resource_type

MASK = "[secret]"
"""Printed in place of a secret."""

ABSENT = object()
"""Marks a property that one side does not have."""

_USER_DATA = ("userData", "userDataBase64")

_NAMING_KEYS = ("name", "key", "id", "resourceType")

_COMPARED_OPTIONS = ("protect", "retain_on_delete", "delete_before_replace", "ignore_changes", "replace_on_changes")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One property that differs. `old` or `new` is ABSENT if that side does not have it; secrets are masked."""

    path: str
    old: Any = ABSENT
    new: Any = ABSENT
    secret: bool = False
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Unified diffs by file, for values that are documents; `old` and `new` are then meaningless."""
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
    """Everything that an update of `old` to `new` would change, except for what its option `ignoreChanges` covers."""
    found: list[Difference] = []
    sets = resource_type(new.type).sets
    for key in sorted(old.inputs.keys() | new.inputs.keys()):
        before, after = (_sorted_sets(key, side.inputs.get(key, ABSENT), sets) for side in (old, new))
        if before == after or covered(key, new.options.ignore_changes):
            continue
        replaces = forces_replacement(new.type, key, before, after) or covered(key, new.options.replace_on_changes)
        if key in old.secret_inputs | new.secret_inputs:
            sides = [value if value is ABSENT else MASK for value in (before, after)]
            found.append(Difference(path=key, old=sides[0], new=sides[1], secret=True, replaces=replaces))
            continue
        found += _of_property(key, before, after, new, replaces)
    return [*found, *_of_default_tags(old, new), *_of_options(old, new)]


def _of_property(key: str, before: Any, after: Any, resource: Resource, replaces: bool) -> Iterator[Difference]:
    old_files, new_files = files_of(key, before), files_of(key, after)
    if old_files is not None and new_files is not None:
        files = file_diffs(old_files, new_files)
        if files:  # empty for JSON that differs only in notation
            yield Difference(path=key, files=files, replaces=replaces)
        return
    for leaf in _leaves(_Leaf(key, key, before, after)):
        if not covered(leaf.engine_path, resource.options.ignore_changes):
            yield Difference(path=leaf.path, old=leaf.old, new=leaf.new, replaces=replaces)


def _sorted_sets(path: str, value: Any, sets: Container[str]) -> Any:
    """The value with all sets sorted."""
    if isinstance(value, Mapping):
        return {key: _sorted_sets(f"{path}.{key}", item, sets) for key, item in value.items()}
    if isinstance(value, list):
        items = [_sorted_sets(path, item, sets) for item in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if path in sets else items
    return value


@dataclass(frozen=True)
class _Leaf:
    """The values of both sides at one path. `path` is for readers: it gives items by name, not by index."""

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


def covered(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of an option's property paths is this one, a parent of it, or `*`."""
    return any(
        pattern == "*" or path == pattern or path.startswith((f"{pattern}.", f"{pattern}[")) for pattern in patterns
    )


def files_of(key: str, value: Any) -> Mapping[str, str] | None:
    """The documents in a property's value by their names, or None if it is a plain value."""
    if not isinstance(value, str):
        return None
    if key in _USER_DATA:
        return _user_data_files(value)
    if value[:1] in "{[" and value:
        try:
            return {"": json.dumps(json.loads(value), indent=2, sort_keys=True, ensure_ascii=False)}
        except ValueError:
            pass
    return {"": value} if "\n" in value else None


def file_diffs(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """A unified diff for every file that differs."""
    diffs = {}
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before != after:
            diffs[name] = tuple(
                difflib.unified_diff(
                    (before or "").splitlines(),
                    (after or "").splitlines(),
                    "/dev/null" if before is None else name or "before",
                    "/dev/null" if after is None else name or "after",
                    lineterm="",
                )
            )
    return diffs


def _user_data_files(value: str) -> Mapping[str, str]:
    # Imported here, because a program without user data needs no node folder.
    from node.user_data import decode

    try:
        files = decode(value)
        return {
            name: "\n".join(_readable(content)) if name.endswith(".env") else content for name, content in files.items()
        }
    except Exception:  # noqa: BLE001 the other revision may have packed its user data in another way
        return {"": value}


def _readable(environment: str) -> Iterator[str]:
    """The lines of an environment file, with one line for each value of a variable that contains JSON."""
    for line in environment.splitlines():
        name, _, value = line.partition("=")
        try:
            document = json.loads(json.loads(value)) if value.startswith(('"{', '"[')) else None
        except ValueError:
            document = None
        yield from [line] if document is None else _flat(name, document)


def _flat(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(f"{path}.{key}", item)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            yield from _flat(f"{path}[{index}]", item)
    else:
        yield f"{path}={json.dumps(value, ensure_ascii=False)}"
