"""The shape of an answer, the table of answers, and the names that a provider makes up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine import fake_ids
from engine.recording import UNKNOWN, Registration


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A resource as it is after its creation."""

    id: str
    outputs: Mapping[str, Any] = field(default_factory=dict)
    planned: Mapping[str, Any] = field(default_factory=dict)
    """Outputs that the provider decides itself, so that a preview knows them: generated names."""


Give = Callable[[Registration], Answer]
ANSWERS: dict[str, Give] = {}


class NameTooLongError(ValueError):
    """A generated name would not fit; the provider refuses it as well."""


def answers(*types: str) -> Callable[[Give], Give]:
    """Enter a function into the table under these type tokens."""

    def enter(give: Give) -> Give:
        ANSWERS.update(dict.fromkeys(types, give))
        return give

    return enter


def name(registration: Registration, key: str = "name", longest: int = 255) -> str:
    """The physical name: the given one, or the logical name and seven hexadecimal digits as the provider makes it."""
    given = registration.inputs.get(key)
    if given is not None:
        return str(given)
    made = f"{registration.inputs.get(f'{key}Prefix', registration.name + '-')}{seven_digits(registration)}"
    if len(made) > longest:
        raise NameTooLongError(
            f"{registration.type} {registration.name!r} would be called {made!r}: {len(made)} characters, "
            f"AWS takes {longest}. Shorten the logical name or give it a `{key}`."
        )
    return made


def seven_digits(registration: Registration) -> str:
    """The suffix of a generated name."""
    return fake_ids.hexadecimal(f"name:{registration.urn}", 7)


def arn(registration: Registration, service: str, resource: str, *, regional: bool = True, account: bool = True) -> str:
    """An ARN in the stack's account and region; global services leave the region out, S3 the account too."""
    partition = partition_of(registration.region)
    region = registration.region if regional else ""
    return f"arn:{partition}:{service}:{region}:{registration.account_id if account else ''}:{resource}"


def partition_of(region: str) -> str:
    """The AWS partition that a region is in."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def text(registration: Registration, key: str, default: str = UNKNOWN) -> str:
    """An input as text; what is absent or not known yet is the default."""
    value = registration.inputs.get(key)
    return default if value is None else str(value)
