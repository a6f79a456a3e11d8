"""What a run of the program registers, in plain values without Pulumi's own types; and the file that holds it."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

UNKNOWN = "<known after creation>"
"""Stands in a preview's inputs for a value that only AWS can decide."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One request to create a resource, as its mock outputs depend on it."""

    type: str
    name: str
    urn: str
    parent: str
    inputs: Mapping[str, Any]
    account_id: str
    region: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """The resource options as the engine receives them; property names are camelCase."""

    custom: bool
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    """URNs under which the resource may be found in the state, those inherited from its parents included."""
    delete_timeout: str = ""
    """How long a deletion may take, such as `13h`; empty leaves it to the provider."""
    depends_on: tuple[str, ...] = ()
    """URNs named in `depends_on`, without those that a property already refers to."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A registered resource. Inputs and outputs are plain dicts with camelCase keys, secrets unwrapped."""

    type: str
    name: str
    urn: str
    parent: str
    """URN of the parent component; empty for a resource at the top."""
    id: str
    """Empty for components, and in a preview."""
    inputs: Mapping[str, Any]
    secret_inputs: frozenset[str]
    outputs: Mapping[str, Any]
    secret_outputs: frozenset[str]
    options: Options
    dependencies: Sequence[str]
    property_dependencies: Mapping[str, Sequence[str]]


@dataclass
class Recording:
    """Every resource of one run and the stack's exports.

    A resource comes after everything it depends on, its component included; beyond that components keep the program's
    order, and what is in them goes by name. (Pulumi's own order of registration differs from run to run.)
    """

    resources: list[Resource] = field(default_factory=list)
    exports: dict[str, Any] = field(default_factory=dict)
    secret_exports: frozenset[str] = frozenset()
    secret_texts: set[str] = field(default_factory=set)
    """Every text that was a secret, or part of one, anywhere in the run."""
    messages: list[str] = field(default_factory=list)
    """Warnings and errors that the program logged."""
    account_id: str = ""
    region: str = ""

    def of_type(self, type_: str) -> list[Resource]:
        """All resources with this type token."""
        return [resource for resource in self.resources if resource.type == type_]

    def only(self, type_: str) -> Resource:
        """The one resource of this type; raises AssertionError with the resources that there are."""
        return _single(self.of_type(type_), f"one {type_}", self.resources)

    def named(self, type_: str, name: str) -> Resource:
        """The resource of this type and logical name; raises AssertionError with the resources that there are."""
        matches = [resource for resource in self.of_type(type_) if resource.name == name]
        return _single(matches, f"one {type_} named {name!r}", self.of_type(type_) or self.resources)


def in_order(resources: Sequence[Resource]) -> list[Resource]:
    """The order that Recording promises."""
    by_urn = {resource.urn: resource for resource in resources}
    components = {urn: at for at, urn in enumerate(urn for urn, each in by_urn.items() if not each.options.custom)}
    depths: dict[str, int] = {}

    def depth(resource: Resource) -> int:
        if resource.urn not in depths:
            above = [by_urn[urn] for urn in (resource.parent, *resource.dependencies) if urn in by_urn]
            depths[resource.urn] = 1 + max(map(depth, above), default=0)
        return depths[resource.urn]

    def place(resource: Resource) -> tuple[int, int, str, str]:
        component = components.get(resource.urn, components.get(resource.parent, len(components)))
        return depth(resource), component, resource.name, resource.type

    return sorted(resources, key=place)


def texts(value: Any) -> Iterator[str]:
    """Every text in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def _single(matches: list[Resource], wanted: str, candidates: list[Resource]) -> Resource:
    if len(matches) == 1:
        return matches[0]
    if matches:
        found = ", ".join(repr(resource.name) for resource in matches)
    else:
        counts = Counter(f"{resource.type} {resource.name!r}" for resource in candidates)
        found = ", ".join(sorted(counts)) or "nothing at all"
    raise AssertionError(f"expected {wanted}; {len(matches)} match. Registered: {found}")


def write_recording(recording: Recording, path: Path) -> None:
    """Write the file. It holds secrets as they are: the caller keeps its folder to itself."""
    path.write_text(json.dumps(dataclasses.asdict(recording), default=sorted), encoding="utf-8")


def read_recording(path: Path) -> Recording:
    """Read the file that `write_recording` wrote."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return Recording(
        resources=[_resource(resource) for resource in document["resources"]],
        exports=document["exports"],
        secret_exports=frozenset(document["secret_exports"]),
        secret_texts=set(document["secret_texts"]),
        messages=document["messages"],
        account_id=document["account_id"],
        region=document["region"],
    )


def _resource(values: dict[str, Any]) -> Resource:
    options: dict[str, Any] = {key: _tuple(value) for key, value in values["options"].items()}
    restored: dict[str, Any] = {
        "options": Options(**options),
        "secret_inputs": frozenset(values["secret_inputs"]),
        "secret_outputs": frozenset(values["secret_outputs"]),
        "dependencies": _tuple(values["dependencies"]),
        "property_dependencies": {key: _tuple(urns) for key, urns in values["property_dependencies"].items()},
    }
    return Resource(**(values | restored))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
