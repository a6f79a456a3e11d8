"""The table of resource types, one entry for each type that the program registers.

A type is one entry in one of these modules, by its type token. The inputs that force a replacement were taken from the
provider itself: each was changed on its own, and Terraform's AWS provider 5.100 planned the change through its plugin
protocol (`requires_replace` in the response to PlanResourceChange). Where version 6, on which pulumi-aws 7 is built,
might differ, they follow its schema: `ForceNew` and `RequiresReplace` in
https://github.com/hashicorp/terraform-provider-aws/tree/main/internal/service.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.recording import Recording, Registration, Resource
from engine.resource_types import alerts, compute, databases, network, storage, web
from engine.resource_types.definition import MockOutputs, ResourceType

# In the order in which the plan lists the risks.
RESOURCE_TYPES: Mapping[str, ResourceType] = {
    **databases.TYPES,
    **storage.TYPES,
    **compute.TYPES,
    **network.TYPES,
    **web.TYPES,
    **alerts.TYPES,
}

_UNKNOWN_TYPE = ResourceType(mock=lambda registration: MockOutputs(id=f"{registration.name}-id"), name_input="name")


def resource_type(token: str) -> ResourceType:
    """The entry of a type token; for a type without one, an entry that only makes up an id from the resource's name."""
    return RESOURCE_TYPES.get(token, _UNKNOWN_TYPE)


def missing_types(recording: Recording) -> list[str]:
    """One sentence for each type that the program registers and the table lacks: what is missing, and what to do."""
    tokens = {resource.type for resource in recording.resources if resource.options.custom}
    return [
        f"{token} has no entry in engine/resource_types, so a plan cannot tell which changes replace it or lose "
        "its data. Add an entry to the module of its service."
        for token in sorted(tokens - RESOURCE_TYPES.keys())
    ]


def mock_outputs(registration: Registration) -> MockOutputs:
    """The id and outputs that the engine makes up for a registration."""
    return resource_type(registration.type).mock(registration)


def forces_replacement(token: str, key: str, old: Any, new: Any) -> bool:
    """Whether the provider replaces a resource of this type when the input `key` changes."""
    # Since version 7 of pulumi-aws a resource may have its own region, and a new region replaces it.
    return (key == "region" and token.startswith("aws:")) or resource_type(token).forces_replacement(key, old, new)


def physical_name(resource: Resource) -> tuple[Any, ...] | None:
    """What no two resources in AWS can share, whatever their logical names; None if AWS or the provider assigns it."""
    type_ = resource_type(resource.type)
    inputs = {key: json.dumps(value) if isinstance(value, list) else value for key, value in resource.inputs.items()}
    missing = any(inputs.get(key) is None for key in type_.identity if key not in type_.optional)
    return None if missing or not type_.identity else (resource.type, *map(inputs.get, type_.identity))
