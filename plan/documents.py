"""Property values that hold whole documents: user data, policies, JSON and texts of several lines."""

from __future__ import annotations

import base64
import binascii
import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_VALUE = 200
"""Characters of a value without line breaks that are still printed in full."""

_USER_DATA = ("userData", "userDataBase64")


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


def packed_size(value: str) -> int:
    """The bytes that EC2 counts of user data, which is given in base64."""
    try:
        return len(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return len(value.encode())


def _user_data_files(value: str) -> Mapping[str, str]:
    # Imported here: a program that renders no user data needs no node folder.
    from node.user_data import decode

    try:
        files = decode(value)
        return {
            name: "\n".join(_readable(content)) if name.endswith(".env") else content for name, content in files.items()
        }
    except Exception:  # noqa: BLE001 the other revision may have packed its user data in any other way
        return {"": value}


def _readable(environment: str) -> Iterator[str]:
    """The lines of an environment file, with one line for each value of a variable that holds JSON."""
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
