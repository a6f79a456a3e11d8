"""The outputs that change with a resource, and the inputs of other resources that use them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.recording import Recording, Registration, Resource, texts
from engine.resource_types import Answer, answer
from plan.replacement import RENEWED_BY_UPDATE

# A shorter value, such as a version or a port, could occur in any text by chance.
_SHORTEST_PART = 8

# Tags of a launch template are not in its versions.
_NO_PART_OF_IT = {"tags", "tagsAll"}


@dataclass(frozen=True)
class Renewal:
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
        """Whether this is one of the outputs, or has one in it."""
        return text in self.values or any(
            value in text for value in self.values if isinstance(text, str) and len(value) >= _SHORTEST_PART
        )


def renewed_by_update(resource: Resource, changed: Iterable[str]) -> Renewal:
    """The output that an update of these inputs changes; no values if it changes none."""
    output = RENEWED_BY_UPDATE.get(resource.type)
    if output is None or output not in resource.outputs or not set(changed) - _NO_PART_OF_IT:
        return Renewal(resource.name, frozenset())
    return Renewal(resource.name, frozenset({str(resource.outputs[output])}))


def passed_on(resource: Resource, renewals: Mapping[str, Renewal]) -> frozenset[str]:
    """The renewed outputs of others that are its inputs and its outputs as well. `renewals` go by URN."""
    outputs = list(resource.outputs.values())
    return frozenset(
        text
        for key, urns in resource.property_dependencies.items()
        if resource.inputs.get(key) in outputs
        for text in texts(resource.inputs.get(key))
        if any(renewals[urn].holds(text) for urn in urns if urn in renewals)
    )


def renewed_by_replacement(resource: Resource, recording: Recording, *, deleted_first: bool) -> Renewal:
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
        answer(each) for each in (registration, dataclasses.replace(registration, urn=f"{resource.urn}#replacement"))
    )
    return Renewal(resource.name, frozenset(_texts(first)) - frozenset(_texts(second)), deleted_first)


def _texts(of: Answer) -> Iterator[str]:
    return texts([of.id, *of.planned.values(), *of.outputs.values()])
