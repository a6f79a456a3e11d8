"""Ids, names and ARNs in AWS's formats, each derived from a resource's URN: equal programs get equal ones."""

from __future__ import annotations

import hashlib
import string
import uuid
from collections.abc import Callable

from engine.errors import NameTooLongError
from engine.recording import UNKNOWN, Registration
from engine.resource_types.definition import MockOutputs

_LETTERS = string.ascii_letters + string.digits


def hexadecimal(seed: str, length: int) -> str:
    """Lower-case hexadecimal digits; at most 64."""
    return hashlib.sha256(seed.encode()).hexdigest()[:length]


def characters(seed: str, length: int, alphabet: str = _LETTERS) -> str:
    """Characters of `alphabet`, evenly drawn from the seed."""
    picked = []
    counter = 0
    # Bytes above the last full multiple of the alphabet would favour its first characters.
    limit = 256 - 256 % len(alphabet)
    while len(picked) < length:
        block = hashlib.sha256(f"{seed}\0{counter}".encode()).digest()
        picked += [alphabet[byte % len(alphabet)] for byte in block if byte < limit]
        counter += 1
    return "".join(picked[:length])


def ec2(prefix: str, seed: str) -> str:
    """An EC2 id: `vpc-0a1b...`, a prefix and 17 hexadecimal digits, the first of which is 0 in practice."""
    return f"{prefix}-0{hexadecimal(f'{prefix}:{seed}', 16)}"


def iam(prefix: str, seed: str) -> str:
    """A unique id of IAM: four letters for the kind, then 17 upper-case characters."""
    return prefix + characters(f"{prefix}:{seed}", 17, string.ascii_uppercase + "234567")


def uuid4(seed: str) -> str:
    """A UUID of version 4's form."""
    return str(uuid.UUID(bytes=hashlib.sha256(f"uuid:{seed}".encode()).digest()[:16], version=4))


def name(registration: Registration, key: str = "name", longest: int = 255) -> str:
    """The physical name: the given one, or the logical name and seven hexadecimal digits as the provider makes it."""
    given = registration.inputs.get(key)
    if given is not None:
        return str(given)
    made = f"{registration.inputs.get(f'{key}Prefix', registration.name + '-')}{seven_digits(registration)}"
    if len(made) > longest:
        raise NameTooLongError(
            f"{registration.type} {registration.name!r} would be called {made!r}: {len(made)} characters, "
            f"AWS allows {longest}. Shorten the logical name or give it a `{key}`."
        )
    return made


def seven_digits(registration: Registration) -> str:
    """The suffix of a generated name."""
    return hexadecimal(f"name:{registration.urn}", 7)


def arn(registration: Registration, service: str, resource: str, *, regional: bool = True, account: bool = True) -> str:
    """An ARN in the stack's account and region; global services leave the region out, S3 the account too."""
    partition = partition_of(registration.region)
    region = registration.region if regional else ""
    return f"arn:{partition}:{service}:{region}:{registration.account_id if account else ''}:{resource}"


def named(service: str, kind: str, *, longest: int = 255) -> Callable[[Registration], MockOutputs]:
    """The mock of a resource whose id is its name, which is also the end of its ARN: `arn:...:<kind>:<name>`."""

    def mock(registration: Registration) -> MockOutputs:
        called = name(registration, longest=longest)
        made = {"arn": arn(registration, service, f"{kind}:{called}")}
        return MockOutputs(id=called, outputs=made, planned={"name": called})

    return mock


def partition_of(region: str) -> str:
    """The AWS partition that a region is in."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def text(registration: Registration, key: str, default: str = UNKNOWN) -> str:
    """An input as a string; the default if it is absent."""
    value = registration.inputs.get(key)
    return default if value is None else str(value)


def short_region(region: str) -> str:
    """`eu-west-1` as AWS shortens it in zone ids and ElastiCache's host names: `euw1`."""
    area, *direction, number = region.split("-")
    shortened = {"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw"}
    return area + "".join(shortened.get(part, part[0]) for part in direction) + number
