"""What `pulumi up` would do to a stack that another revision of the program has made."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Literal

from offline.differences import Difference, differences
from offline.recording import Recording, Resource
from offline.stateful import is_stateful

Kind = Literal["create", "remove", "change", "replace"]

# The inputs that hold a resource's physical name; two resources with the same one cannot both exist.
_PHYSICAL_NAMES = ("bucket", "identifier", "replicationGroupId", "name")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that is not as it was. `resource` is the new one, or the old one if it is removed."""

    kind: Kind
    resource: Resource
    old: Resource | None = None
    differences: tuple[Difference, ...] = ()
    reasons: tuple[str, ...] = ()
    """Why it is replaced."""

    @property
    def loses_data(self) -> bool:
        """Whether what a stateful resource holds is gone afterwards."""
        gone = self.old or self.resource
        kept = self.kind == "remove" and gone.options.retain_on_delete
        return self.kind in ("replace", "remove") and is_stateful(gone.type) and not kept


@dataclass(frozen=True, kw_only=True)
class Changes:
    """All changes between two recordings, in the order of registration."""

    items: list[Change] = field(default_factory=list)

    def of(self, kind: Kind) -> list[Change]:
        """The changes of one kind that lose no data."""
        return [change for change in self.items if change.kind == kind and not change.loses_data]

    @property
    def losing_data(self) -> list[Change]:
        """The changes to be loud about, replacements first."""
        return sorted(
            (change for change in self.items if change.loses_data), key=lambda change: change.kind == "remove"
        )


def compare(base: Recording, head: Recording) -> Changes:
    """Match resources by URN or alias, as the engine does, and say what happens to each."""
    remaining = {resource.urn: resource for resource in base.resources}
    matches = [(resource, _take_match(resource, remaining)) for resource in head.resources]
    created = [new for new, old in matches if old is None and new.options.custom]
    removed = [old for old in remaining.values() if old.options.custom]
    items = [change for new, old in matches if old is not None for change in _update(old, new)]
    for old in list(removed):
        successor = _successor(old, created) if is_stateful(old.type) else None
        if successor is not None:
            created.remove(successor)
            removed.remove(old)
            items.append(_renamed(old, successor))
    items += [Change(kind="create", resource=resource) for resource in created]
    items += [Change(kind="remove", resource=resource) for resource in removed]
    return Changes(items=items)


def _take_match(resource: Resource, remaining: dict[str, Resource]) -> Resource | None:
    for urn in (resource.urn, *resource.options.aliases):
        if urn in remaining:
            return remaining.pop(urn)
    return None


def _update(old: Resource, new: Resource) -> list[Change]:
    found = tuple(differences(old, new))
    if not found or not new.options.custom:
        return []
    reasons = tuple(f"{difference.path} changes" for difference in found if difference.replaces)
    kind: Kind = "replace" if reasons else "change"
    return [Change(kind=kind, resource=new, old=old, differences=found, reasons=reasons)]


def _renamed(old: Resource, new: Resource) -> Change:
    reasons = []
    if old.type != new.type:
        reasons.append(f"its type changes from {old.type} to {new.type}")
    if old.name != new.name:
        reasons.append(f"its logical name changes from {old.name!r} to {new.name!r}")
    if not reasons:
        reasons.append(f"its place changes from {old.urn} to {new.urn}")
    return Change(
        kind="replace", resource=new, old=old, differences=tuple(differences(old, new)), reasons=tuple(reasons)
    )


def _successor(old: Resource, created: list[Resource]) -> Resource | None:
    """The created resource that most likely is the removed one under another name or type."""
    for same in (_same_physical_name, _same_name, _same_type):
        candidates = [new for new in created if same(old, new)]
        if candidates:
            return max(candidates, key=lambda new: difflib.SequenceMatcher(None, old.name, new.name).ratio())
    return None


def _same_physical_name(old: Resource, new: Resource) -> bool:
    return old.type == new.type and any(
        old.inputs.get(key) == new.inputs.get(key) for key in _PHYSICAL_NAMES if key in old.inputs
    )


def _same_name(old: Resource, new: Resource) -> bool:
    return old.name == new.name and old.type.split(":")[0] == new.type.split(":")[0]


def _same_type(old: Resource, new: Resource) -> bool:
    return old.type == new.type and old.parent == new.parent
