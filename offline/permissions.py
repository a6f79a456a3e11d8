"""What a policy allows after a change that it did not allow before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any


def widened(old: str, new: str) -> list[str]:
    """The permissions that only the new policy gives, each as one phrase; empty if none, or if neither is a policy.

    A resource that only has another name, such as that of a renamed cluster, is no new permission; more resources than
    before are, and so is a new `*`.
    """
    before, after = _statements(old), _statements(new)
    found = [
        *_new_actions(before, after),
        *_new_principals(before, after),
        *_lost_denials(before, after),
        *_wider_scope(before, after),
    ]
    return list(dict.fromkeys(found))


def admitted(trust: str) -> list[str]:
    """Who may take a role on, besides the AWS services that act with it; empty if the text is no policy."""
    principals = [each for statement in _allowed(_statements(trust)) for each in _listed(statement.get("Principal"))]
    return [f"admits {each}" for each in dict.fromkeys(principals) if not each.startswith("Service ")]


def _statements(document: str) -> list[Mapping[str, Any]]:
    try:
        statements = json.loads(document)["Statement"]
    except (ValueError, KeyError, TypeError):
        return []
    listed = statements if isinstance(statements, list) else [statements]
    return [statement for statement in listed if isinstance(statement, Mapping)]


def _allowed(statements: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [statement for statement in statements if statement.get("Effect") == "Allow"]


def _listed(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{kind} {item}" for kind, items in value.items() for item in _listed(items)]
    return [str(item) for item in value] if isinstance(value, list) else [] if value is None else [str(value)]


def _new_actions(before: list[Mapping[str, Any]], after: list[Mapping[str, Any]]) -> Iterator[str]:
    known = [action for statement in _allowed(before) for action in _listed(statement.get("Action"))]
    for statement in _allowed(after):
        for action in _listed(statement.get("Action")):
            if not _covered(action, known):
                yield f"may {action}"
        if "NotAction" in statement and statement not in before:
            yield f"may do everything but {', '.join(_listed(statement['NotAction']))}"


def _new_principals(before: list[Mapping[str, Any]], after: list[Mapping[str, Any]]) -> Iterator[str]:
    known = [principal for statement in _allowed(before) for principal in _listed(statement.get("Principal"))]
    for statement in _allowed(after):
        for principal in _listed(statement.get("Principal")):
            if principal not in known:
                yield f"admits {principal}"


def _lost_denials(before: list[Mapping[str, Any]], after: list[Mapping[str, Any]]) -> Iterator[str]:
    old, new = (
        [action for each in side if each.get("Effect") == "Deny" for action in _listed(each.get("Action"))]
        for side in (before, after)
    )
    yield from (f"no longer denies {action}" for action in old if action not in new)


def _wider_scope(before: list[Mapping[str, Any]], after: list[Mapping[str, Any]]) -> Iterator[str]:
    """The same action on more resources than before, or under fewer conditions."""
    for action in dict.fromkeys(action for each in _allowed(after) for action in _listed(each.get("Action"))):
        old, new = (
            [each for each in _allowed(side) if action in _listed(each.get("Action"))] for side in (before, after)
        )
        known, asked = ([item for each in side for item in _listed(each.get("Resource"))] for side in (old, new))
        if len(asked) > len(known) > 0 or ("*" in asked and "*" not in known and known):
            added = [resource for resource in asked if not _covered(resource, known)]
            if added:
                yield f"may {action} on {', '.join(added)}"
        if old and all(each.get("Condition") for each in old) and not all(each.get("Condition") for each in new):
            yield f"may {action} without a condition"


def _covered(text: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(text.lower(), pattern.lower()) for pattern in patterns)
