"""What the SDK declares about a resource type: the names and shapes of its inputs, the names of its outputs.

Pulumi does not check inputs that are given as plain dicts: a misspelt key registers without an error and is ignored.
The declarations are on the SDK's classes, and `pulumi._types` is the only way to read them (pulumi 3.272).
"""

from __future__ import annotations

import keyword
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, get_args, get_origin

from pulumi import _types

from engine.recording import UNKNOWN


def argument_error(token: str, inputs: Mapping[str, Any]) -> str | None:
    """The first input that its declaration does not allow, as a sentence; None if there is none, or no declaration."""
    arguments = _arguments(token)
    return next(_errors(inputs, arguments, ""), None) if arguments else None


@cache
def input_names(token: str) -> frozenset[str]:
    """The names of the inputs that a resource type declares."""
    arguments = _arguments(token)
    return frozenset(_types.input_type_types(arguments)) if arguments else frozenset()


@cache
def output_names(token: str) -> frozenset[str]:
    """The names of the outputs that a resource type declares."""
    resource = _resource_class(token)
    return frozenset(_types.resource_types(resource)) if resource else frozenset()


def _resource_class(token: str) -> Any:
    """The class of a type token: `pulumi_aws.ec2.Vpc` for `aws:ec2/vpc:Vpc`. None if no imported SDK has it."""
    package, module, name = token.split(":", 2)
    service = module.partition("/")[0]
    sdk = sys.modules.get(f"pulumi_{package}")
    if service != "index":
        sdk = getattr(sdk, f"{service}_" if keyword.iskeyword(service) else service, None)
    return getattr(sdk, name, None)


@cache
def _arguments(token: str) -> Any:
    """The class that declares the inputs of a resource type."""
    resource = _resource_class(token)
    if resource is None:
        return None
    declared = vars(sys.modules[resource.__module__])
    # Where a nested block already has the resource's name, the SDK calls the resource's arguments InitArgs.
    return declared.get(f"{resource.__name__}InitArgs") or declared.get(f"{resource.__name__}Args")


def _errors(value: Any, declared: Any, path: str) -> Iterator[str]:
    declared = _types.unwrap_type(declared)
    if value is None or value == UNKNOWN:
        return
    if isinstance(declared, type) and _types.is_input_type(declared):
        if not isinstance(value, dict):
            yield f"`{path}` is {type(value).__name__}; {declared.__name__} is a mapping."
            return
        known = _types.input_type_types(declared)
        for key, item in value.items():
            if key not in known:
                yield f"there is no `{f'{path}.{key}'.lstrip('.')}`. Known: {', '.join(sorted(known))}."
            else:
                yield from _errors(item, known[key], f"{path}.{key}".lstrip("."))
    elif get_origin(declared) is Sequence:
        if not isinstance(value, list):
            yield f"`{path}` is {type(value).__name__}; a list is needed."
            return
        for index, item in enumerate(value):
            yield from _errors(item, get_args(declared)[0], f"{path}[{index}]")
    elif get_origin(declared) is Mapping or declared in (str, int, float, bool):
        needed = "mapping" if get_origin(declared) is Mapping else "single value"
        if isinstance(value, list) or isinstance(value, dict) is not (needed == "mapping"):
            yield f"`{path}` is {type(value).__name__}; a {needed} is needed."
