"""The entry of a resource type: its mock outputs, and what a change of it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.recording import Registration

ANY_INPUT = frozenset({"*"})
"""Stands for every input in `ResourceType.replaced_by`."""


@dataclass(frozen=True, kw_only=True)
class MockOutputs:
    """A resource's id and outputs after its creation, in AWS's formats. Equal registrations get equal ones."""

    id: str
    outputs: Mapping[str, Any] = field(default_factory=dict)
    planned: Mapping[str, Any] = field(default_factory=dict)
    """Outputs that the provider itself decides, so that a preview has them too: generated names."""


@dataclass(frozen=True, kw_only=True)
class Safeguard:
    """An input whose change from a `safe` to an `unsafe` value is a risk. Dots lead into nested values."""

    input: str
    safe: tuple[Any, ...] = (True,)
    unsafe: tuple[Any, ...] = (False, None)
    risk: str
    """The predicate of a sentence whose subject is the resource."""


@dataclass(frozen=True, kw_only=True)
class Retention:
    """An input that gives a number of days; a smaller number is a risk."""

    input: str
    risk: str
    """The predicate of a sentence whose subject is the resource, with {old} and {new} for the days."""


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """One type: how the engine makes up its outputs, and what the plan reads from a change of it."""

    mock: Callable[[Registration], MockOutputs]

    name_input: str = ""
    """The input with the name in AWS, which the provider generates if the program gives none. Of two resources with the
    same name AWS refuses the second, so Pulumi deletes a resource with a given name before it creates the replacement
    (https://www.pulumi.com/docs/iac/concepts/resources/options/deletebeforereplace/)."""
    unique_by: tuple[str, ...] = ()
    """The inputs whose combination is unique, where the name alone is not. AWS refuses a second resource with the same
    values, or treats both as one, which the deletion of either then removes."""
    optional: frozenset[str] = frozenset()
    """Those of `unique_by` that may be absent."""

    replaced_by: frozenset[str] = frozenset()
    """The inputs that the provider cannot update in place: a change replaces the resource. See docs/adr/0016."""
    replaced_if: Mapping[str, Callable[[Any, Any], bool]] = field(default_factory=dict)
    """Inputs that are updated in place or not, depending on the old and the new value."""
    sets: frozenset[str] = frozenset()
    """The inputs that the provider treats as sets (`terraform providers schema -json`): a new order is not a
    change. Dots lead into nested values. Lists whose order counts, such as a worker pool's instance types, are not
    listed."""
    renewed_by_update: str = ""
    """The output that changes with an update in place."""

    stateful: bool = False
    """Whether it holds data that a replacement would not have."""
    replacement_risk: str = ""
    """What a replacement risks besides its data; the predicate of a sentence whose subject is the resource."""
    safeguards: tuple[Safeguard, ...] = ()
    retention: tuple[Retention, ...] = ()

    highlights: tuple[str, ...] = ()
    """The inputs that the tree of resources shows. Dots lead into nested values and into every item of a list."""

    @property
    def identity(self) -> tuple[str, ...]:
        """The inputs that together are unique in AWS; empty if AWS assigns the identity."""
        return self.unique_by or ((self.name_input,) if self.name_input else ())

    def forces_replacement(self, key: str, old: Any, new: Any) -> bool:
        """Whether the provider replaces the resource when this input changes."""
        if key in self.replaced_if:
            return self.replaced_if[key](old, new)
        return key in self.replaced_by or self.replaced_by == ANY_INPUT
