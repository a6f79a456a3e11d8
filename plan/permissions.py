"""What a policy allows after a change that it did not allow before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any


def widened(old: str, new: str) -> list[str]:
    """The permissions that only the new policy gives, one phrase each; empty if there are none, or no policies.

    A permission (who may do what, on which resource, under which conditions) is new if no statement of the old policy
    covers it. A denial is lost if no statement of the new policy covers it.
    """
    before, after = _statements(old), _statements(new)
    known = [each for each in before if each.effect == "Allow"]
    still_denied = [each for each in after if each.effect == "Deny"]
    found = [
        *(_permission(each, known) for each in _uncovered(after, "Allow", known)),
        *(_denial(each, still_denied) for each in _uncovered(before, "Deny", still_denied)),
    ]
    phrases: dict[str, dict[str, None]] = {}
    for opening, item in found:
        phrases.setdefault(opening, {})[item] = None
    return [f"{opening} {', '.join(items)}".strip() for opening, items in phrases.items()]


def admitted(trust_policy: str) -> list[str]:
    """Who may assume a role, other than AWS services; empty if the document is not a policy."""
    principals = [each for it in _statements(trust_policy) if it.effect == "Allow" for each in it.principals.written()]
    return [f"admits {each}" for each in dict.fromkeys(principals) if not each.startswith("Service ")]


@dataclass(frozen=True)
class _Part:
    """Principals, actions or resources: these, or all but these."""

    items: tuple[str, ...]
    inverted: bool = False

    def covers(self, other: _Part) -> bool:
        """Whether everything in the other one is in this one."""
        if other.inverted:
            return _all_in(self.items, other.items) if self.inverted else "*" in self.items
        if self.inverted:
            return not any(_matches(*pair) for a in other.items for b in self.items for pair in ((a, b), (b, a)))
        return _all_in(other.items, self.items)

    def single(self) -> Iterator[_Part]:
        """The same, split into single items."""
        yield from [self] if self.inverted else (_Part((item,)) for item in self.items)

    def written(self) -> list[str]:
        return [f"everything but {', '.join(self.items)}"] if self.inverted else [each for each in self.items if each]


@dataclass(frozen=True)
class _Condition:
    operator: str
    key: str
    values: tuple[str, ...]

    def covers(self, other: _Condition) -> bool:
        """Whether every request that meets the other one meets this one."""
        if (self.operator, self.key.lower()) != (other.operator, other.key.lower()):
            return False
        if self.values == other.values:
            return True
        if self.operator.startswith("NumericLessThan"):
            return max(map(float, other.values)) <= max(map(float, self.values))
        if "Not" in self.operator:
            return _all_in(self.values, other.values)
        return _all_in(other.values, self.values)


@dataclass(frozen=True)
class _Statement:
    effect: str
    principals: _Part
    actions: _Part
    resources: _Part
    conditions: tuple[_Condition, ...]

    def single(self) -> Iterator[_Statement]:
        """The same, split into statements with one principal, action and resource each."""
        for principal in self.principals.single():
            for action in self.actions.single():
                for resource in self.resources.single():
                    yield replace(self, principals=principal, actions=action, resources=resource)

    def covers(self, other: _Statement, *, but: str = "") -> bool:
        """Whether this one includes the other one, leaving out the part `but`."""
        parts = [part for part in ("principals", "actions", "resources") if part != but]
        within = all(getattr(self, part).covers(getattr(other, part)) for part in parts)
        return within and (but == "conditions" or not self.unmet(other))

    def unmet(self, other: _Statement) -> list[_Condition]:
        """The conditions that the other one does not imply."""
        return [mine for mine in self.conditions if not any(mine.covers(each) for each in other.conditions)]


def _uncovered(statements: list[_Statement], effect: str, by: list[_Statement]) -> Iterator[_Statement]:
    for statement in statements:
        if statement.effect == effect:
            yield from (each for each in statement.single() if not any(other.covers(each) for other in by))


def _permission(found: _Statement, known: list[_Statement]) -> tuple[str, str]:
    """A new permission as a phrase, by the part that no known statement has."""
    action = ", ".join(found.actions.written())
    for statement in known:
        if statement.covers(found, but="conditions"):
            return f"may {action} {_weaker(statement.unmet(found), found)}", ""
    if not any(statement.actions.covers(found.actions) for statement in known):
        return "may", f"do {action}" if found.actions.inverted else action
    if not any(statement.principals.covers(found.principals) for statement in known):
        return "admits", ", ".join(found.principals.written())
    return f"may {action} on", ", ".join(found.resources.written())


def _weaker(unmet: list[_Condition], found: _Statement) -> str:
    left = {each.key.lower() for each in found.conditions}
    dropped = list(dict.fromkeys(each.key for each in unmet if each.key.lower() not in left))
    wider = list(dict.fromkeys(each.key for each in unmet if each.key.lower() in left))
    phrases = [f"without a condition on {', '.join(dropped)}"] if dropped else []
    return " and ".join([*phrases, *([f"under a wider condition on {', '.join(wider)}"] if wider else [])])


def _denial(lost: _Statement, left: list[_Statement]) -> tuple[str, str]:
    conditions = ", ".join(f"{each.operator} {each.key} {', '.join(each.values)}" for each in lost.conditions)
    opening = f"no longer denies {', '.join(lost.actions.written())}{f' ({conditions})' if conditions else ''}"
    elsewhere = any(statement.covers(lost, but="resources") for statement in left)
    return (f"{opening} on", ", ".join(lost.resources.written())) if elsewhere else (opening, "")


def _statements(document: str) -> list[_Statement]:
    try:
        statements = json.loads(document)["Statement"]
    except (ValueError, KeyError, TypeError):
        return []
    listed = statements if isinstance(statements, list) else [statements]
    return [
        _Statement(
            effect=str(each.get("Effect")),
            principals=_part(each, "Principal"),
            actions=_part(each, "Action"),
            resources=_part(each, "Resource"),
            conditions=tuple(_conditions(each.get("Condition"))),
        )
        for each in listed
        if isinstance(each, Mapping)
    ]


def _part(statement: Mapping[str, Any], key: str) -> _Part:
    inverted = f"Not{key}" in statement
    items = _listed(statement.get(f"Not{key}" if inverted else key))
    if key == "Principal":
        items = ["AWS *" if item == "*" else item for item in items]
    return _Part(tuple(items) or ("",), inverted)


def _conditions(condition: Any) -> Iterator[_Condition]:
    for operator, keys in condition.items() if isinstance(condition, Mapping) else ():
        for key, values in keys.items():
            # IAM treats the two operators alike.
            yield _Condition(operator.replace("ArnEquals", "ArnLike"), key, tuple(_listed(values)))


def _listed(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{kind} {item}" for kind, items in value.items() for item in _listed(items)]
    return [str(item) for item in value] if isinstance(value, list) else [] if value is None else [str(value)]


def _all_in(texts: Iterable[str], patterns: Iterable[str]) -> bool:
    return all(any(_matches(text, pattern) for pattern in patterns) for text in texts)


def _matches(text: str, pattern: str) -> bool:
    return fnmatchcase(text.lower(), pattern.lower())
