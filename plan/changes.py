"""What `pulumi up` would do to a stack that another revision of the program created."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from engine.recording import Recording, Registration, Resource, texts
from engine.resource_types import forces_replacement, mock_outputs, physical_name, resource_type
from engine.resource_types.definition import MockOutputs
from plan.differences import Difference, covered, differences

# A shorter value, such as a version or a port, could occur in any text by chance.
_SHORTEST_PART = 8

# The tags of a launch template are not part of its versions.
_NOT_IN_A_VERSION = {"tags", "tagsAll"}

Kind = Literal["create", "remove", "change", "replace"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to one resource. `resource` is the new one, or the old one if it is removed."""

    kind: Kind
    resource: Resource
    old: Resource | None = None
    differences: tuple[Difference, ...] = ()
    reasons: tuple[str, ...] = ()
    """Why it is replaced."""

    @property
    def loses_data(self) -> bool:
        """Whether the data of a stateful resource is lost."""
        gone = self.old or self.resource
        kept = self.kind == "remove" and gone.options.retain_on_delete
        return self.kind in ("replace", "remove") and resource_type(gone.type).stateful and not kept

    @property
    def renamed(self) -> bool:
        """Whether Pulumi treats the two as different resources: it creates the new one, then deletes the old one."""
        known = (self.resource.urn, *self.resource.options.aliases)
        return self.kind == "replace" and self.old is not None and self.old.urn not in known

    def sides(self, path: str) -> tuple[Any, Any]:
        """An input before and after, None if it is absent. Dots lead into nested values."""
        return _at(self.old, path), _at(self.resource, path)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """All changes between two recordings, in the order of registration."""

    base: Recording
    head: Recording
    items: list[Change] = field(default_factory=list)

    @property
    def moved(self) -> bool:
        """Whether the region or the account changes, so that everything is created again."""
        return bool(_moved(self.base, self.head))

    def of(self, kind: Kind) -> list[Change]:
        """The changes of one kind that lose no data."""
        return [change for change in self.items if change.kind == kind and not change.loses_data]

    def updates(self, type_: str | None = None) -> list[Change]:
        """The changes of resources that exist before and after, of one type or of all."""
        return [change for change in self.items if change.old is not None and type_ in (None, change.resource.type)]

    @property
    def losing_data(self) -> list[Change]:
        """The changes that lose data, replacements first."""
        return sorted(
            (change for change in self.items if change.loses_data), key=lambda change: change.kind == "remove"
        )


def compare(base: Recording, head: Recording) -> Changes:
    """Match resources by URN or alias, as Pulumi's engine does, and find what happens to each."""
    remaining = {resource.urn: resource for resource in base.resources}
    matches = [(resource, _take_match(resource, remaining)) for resource in head.resources]
    created = [new for new, old in matches if old is None and new.options.custom]
    removed = [old for old in remaining.values() if old.options.custom]
    items = _updates([(new, old) for new, old in matches if old is not None and new.options.custom], base, head)
    for old in list(removed):
        successor = _successor(old, created) if resource_type(old.type).stateful else None
        if successor is not None:
            created.remove(successor)
            removed.remove(old)
            items.append(_renamed(old, successor))
    items += [Change(kind="create", resource=resource) for resource in created]
    items += [Change(kind="remove", resource=resource) for resource in removed]
    return Changes(base=base, head=head, items=items)


def _at(resource: Resource | None, path: str) -> Any:
    value: Any = resource.inputs if resource is not None else None
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _take_match(resource: Resource, remaining: dict[str, Resource]) -> Resource | None:
    for urn in (resource.urn, *resource.options.aliases):
        if urn in remaining:
            return remaining.pop(urn)
    return None


def _updates(matches: list[tuple[Resource, Resource]], base: Recording, head: Recording) -> list[Change]:
    """Updates and replacements. A resource comes after those it refers to, so one pass follows every reference."""
    items: list[Change] = []
    renewals: dict[str, _Renewal] = {}
    moved = _moved(base, head)
    for new, old in matches:
        change = _update(old, new, renewals, moved if new.type.startswith("aws:") else "")
        if change is None:
            continue
        items.append(change)
        if change.kind == "replace":
            deleted_first = new.options.delete_before_replace or _keeps_its_name(old, new)
            renewal = _renewed_by_replacement(new, head, deleted_first=deleted_first)
        else:
            renewal = _renewed_by_update(new, (each.key for each in change.differences))
        renewals[new.urn] = replace(renewal, values=renewal.values | _passed_on(new, renewals))
    return items


def _moved(base: Recording, head: Recording) -> str:
    """Why every AWS resource is replaced; empty if not. A new region replaces all of them (pulumi/pulumi-aws#4000)."""
    if base.account_id != head.account_id:
        return f"the account changes from {base.account_id} to {head.account_id}"
    return "" if base.region == head.region else f"the region changes from {base.region} to {head.region}"


def _update(old: Resource, new: Resource, renewals: dict[str, _Renewal], moved: str) -> Change | None:
    """The change of a resource that exists before and after. `moved` is a reason to replace it in any case."""
    if moved:
        return Change(kind="replace", resource=new, old=old, reasons=(moved,))
    direct = differences(old, new)
    known = {difference.path for difference in direct}
    found = (*direct, *(difference for difference in _followed(new, renewals) if difference.path not in known))
    reasons = [difference.reason for difference in found if difference.replaces] or _deleted_below(new, renewals)
    if not found and not reasons:
        return None
    kind: Kind = "replace" if reasons else "change"
    return Change(kind=kind, resource=new, old=old, differences=found, reasons=tuple(reasons))


def _deleted_below(new: Resource, renewals: dict[str, _Renewal]) -> list[str]:
    """One reason for each resource that this one cannot exist without and that is deleted before it is replaced."""
    return [
        f"{renewals[urn].name} is deleted before its replacement is created"
        for key, urns in new.property_dependencies.items()
        for urn in urns
        if urn in renewals and renewals[urn].deleted_first and forces_replacement(new.type, key, None, None)
    ]


def _renamed(old: Resource, new: Resource) -> Change:
    reasons = []
    if old.type != new.type:
        reasons.append(f"its type changes from {old.type} to {new.type}")
    if old.name != new.name:
        reasons.append(f"its logical name changes from {old.name!r} to {new.name!r}")
    if not reasons:
        reasons.append(f"its URN changes from {old.urn} to {new.urn}")
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
    return physical_name(old) is not None and physical_name(old) == physical_name(new)


def _same_name(old: Resource, new: Resource) -> bool:
    return old.name == new.name and old.type.split(":")[0] == new.type.split(":")[0]


def _same_type(old: Resource, new: Resource) -> bool:
    return old.type == new.type and old.parent == new.parent


def _keeps_its_name(old: Resource, new: Resource) -> bool:
    """Whether the program gives it a name that stays the same: Pulumi then deletes it before it creates another."""
    key = resource_type(new.type).name_input
    return key in old.inputs and old.inputs[key] == new.inputs.get(key)


@dataclass(frozen=True)
class _Renewal:
    """The outputs of a resource whose values will change."""

    name: str
    values: frozenset[str]
    deleted_first: bool = False
    """Whether the old resource is deleted before the new one is created."""

    def paths(self, path: str, value: Any) -> Iterator[str]:
        """The places in an input's value that contain one of these outputs."""
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from self.paths(f"{path}.{key}", item)
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            for index, item in enumerate(value):
                yield from self.paths(f"{path}[{index}]", item)
        elif any(self.holds(text) for text in (value if isinstance(value, list) else [value])):
            yield path

    def holds(self, text: Any) -> bool:
        """Whether this is one of the outputs, or contains one."""
        return text in self.values or any(
            value in text for value in self.values if isinstance(text, str) and len(value) >= _SHORTEST_PART
        )


def _renewed_by_update(resource: Resource, changed: Iterable[str]) -> _Renewal:
    """The output that an update of these inputs changes; no values if it changes none."""
    output = resource_type(resource.type).renewed_by_update
    if output not in resource.outputs or not set(changed) - _NOT_IN_A_VERSION:
        return _Renewal(resource.name, frozenset())
    return _Renewal(resource.name, frozenset({str(resource.outputs[output])}))


def _passed_on(resource: Resource, renewals: Mapping[str, _Renewal]) -> frozenset[str]:
    """The renewed outputs of others that are both inputs and outputs of this one. The keys of `renewals` are URNs."""
    outputs = list(resource.outputs.values())
    return frozenset(
        text
        for key, urns in resource.property_dependencies.items()
        if resource.inputs.get(key) in outputs
        for text in texts(resource.inputs.get(key))
        if any(renewals[urn].holds(text) for urn in urns if urn in renewals)
    )


def _renewed_by_replacement(resource: Resource, recording: Recording, *, deleted_first: bool) -> _Renewal:
    """Every output that AWS assigns: those in which a second resource with the same inputs would differ."""
    registration = Registration(
        type=resource.type,
        name=resource.name,
        urn=resource.urn,
        parent=resource.parent,
        inputs=resource.inputs,
        account_id=recording.account_id,
        region=recording.region,
    )
    first, second = (
        mock_outputs(each) for each in (registration, replace(registration, urn=f"{resource.urn}#replacement"))
    )
    return _Renewal(resource.name, frozenset(_texts(first)) - frozenset(_texts(second)), deleted_first)


def _texts(of: MockOutputs) -> Iterator[str]:
    return texts([of.id, *of.planned.values(), *of.outputs.values()])


def _followed(new: Resource, renewals: Mapping[str, _Renewal]) -> list[Difference]:
    """The inputs that use an output whose value will change. The keys of `renewals` are URNs."""
    names: dict[tuple[str, str], list[str]] = {}
    for key, urns in new.property_dependencies.items():
        for renewal in (renewals[urn] for urn in urns if urn in renewals):
            for path in renewal.paths(key, new.inputs.get(key)):
                names.setdefault((key, path), []).append(renewal.name)
    return [
        Difference(
            path=path,
            follows=", ".join(dict.fromkeys(found)),
            replaces=forces_replacement(new.type, key, None, None) or covered(path, new.options.replace_on_changes),
        )
        for (key, path), found in names.items()
        if not covered(path, new.options.ignore_changes)
    ]
