"""How a plan shows resources: as a tree with their types, highlights and references, in totals, and by user data."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.recording import Recording, Resource, name_of
from engine.resource_types import resource_type

USER_DATA_LIMIT = 16_384
"""The most bytes of user data, before base64, that EC2 accepts.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
"""

LONGEST_VALUE = 200
"""Characters of a value without line breaks that are still printed in full."""

LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
_PEERS = ("referencedSecurityGroupId", "cidrIpv4", "cidrIpv6", "prefixListId")

_EC2_ID = re.compile(r"[a-z]+-0[0-9a-f]{16}")


def short_type(type_: str) -> str:
    """`aws:ec2/vpc:Vpc` as the program writes it, `aws.ec2.Vpc`; a component by its class alone."""
    package, module, name = type_.split(":", 2)
    area = module.split("/", 1)[0]
    if package == "aws":
        return f"aws.{area}.{name}"
    return f"{package}.{name}" if area == "index" else name


class Names:
    """The logical names of resources by the ids and ARNs that AWS would give them, which mean nothing to a reader."""

    def __init__(self, *recordings: Recording) -> None:
        self._names: dict[str, str] = {}
        for recording in recordings:
            for resource in recording.resources:
                for value in (resource.id, resource.outputs.get("arn")):
                    if isinstance(value, str) and (_EC2_ID.fullmatch(value) or value.startswith("arn:")):
                        self._names.setdefault(value, resource.name)

    def write(self, value: Any) -> str:
        """A value on one line: references by their names, long texts by their size and a digest."""
        if isinstance(value, str):
            if value in self._names:
                return f"<{self._names[value]}>"
            if len(value) > LONGEST_VALUE:
                return f"({len(value):,} characters, {hashlib.sha256(value.encode()).hexdigest()[:12]})"
            return value if value and not re.search(r"[\s=]", value) else json.dumps(value, ensure_ascii=False)
        if isinstance(value, list):
            return "[" + ", ".join(map(self.write, value)) + "]"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key}: {self.write(item)}" for key, item in value.items()) + "}"
        return json.dumps(value)


def tree(recording: Recording, names: Names) -> list[str]:
    """One line per resource, in the order of registration within each component."""
    children: dict[str, list[Resource]] = defaultdict(list)
    for resource in recording.resources:
        children[resource.parent].append(resource)
    return _branch(children, "", "", names)


def _branch(children: dict[str, list[Resource]], parent: str, indent: str, names: Names) -> list[str]:
    lines = []
    siblings = children.get(parent, [])
    for resource in siblings:
        last = resource is siblings[-1]
        line = f"{indent}{'└─ ' if last else '├─ '}{resource.name}  {short_type(resource.type)}"
        lines.append("  ".join(filter(None, (line, highlights(resource, names)))))
        lines += _branch(children, resource.urn, indent + ("   " if last else "│  "), names)
    return lines


def highlights(resource: Resource, names: Names) -> str:
    """The highlights as `property=value`, then marks for protection and retention; secrets are left out."""
    if resource.type in (INGRESS, EGRESS):
        return _rule(resource, names)
    shown = []
    for path in resource_type(resource.type).highlights:
        key = path.split(".", 1)[0]
        if key not in resource.inputs or key in resource.secret_inputs:
            continue
        values = list(dict.fromkeys(_write(path, value, names) for value in _at(resource.inputs, path.split("."))))
        if values:
            shown.append(f"{path.rsplit('.', 1)[-1]}={','.join(values)}")
    return "  ".join([*shown, *_marks(resource)])


def _rule(resource: Resource, names: Names) -> str:
    """A rule in the direction of its connections: `<source> -> <destination>  tcp 8080`."""
    inputs = resource.inputs
    group = names.write(inputs.get("securityGroupId"))
    peer = next((names.write(inputs[key]) for key in _PEERS if key in inputs), "nobody")
    first, last = inputs.get("fromPort"), inputs.get("toPort")
    ports = "all ports" if first is None else f"{first}" if first == last else f"{first}-{last}"
    protocol = "any protocol" if str(inputs.get("ipProtocol")) == "-1" else f"{inputs.get('ipProtocol')} {ports}"
    ends = (peer, group) if resource.type == INGRESS else (group, peer)
    return f"{ends[0]} -> {ends[1]}  {protocol}"


def _marks(resource: Resource) -> Iterator[str]:
    # A component passes both on to its children, which are marked one by one.
    if resource.options.custom and resource.options.protect:
        yield "[protected]"
    if resource.options.custom and resource.options.retain_on_delete:
        yield "[retained]"


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    """The values at a path; every item of a list on the way counts."""
    if isinstance(value, list) and path:
        for item in value:
            yield from _at(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _write(path: str, value: Any, names: Names) -> str:
    if path == "userData":
        return f"{packed_size(str(value)):,} bytes"
    if path in ("policy", "assumeRolePolicy"):
        return _policy(str(value))
    return names.write(value)


def _policy(document: str) -> str:
    """The actions of a policy: `allow(s3:GetObject,s3:ListBucket) deny(s3:*)`."""
    try:
        statements = json.loads(document)["Statement"]
    except (ValueError, KeyError, TypeError):
        return "(not a policy)"
    actions: dict[str, list[str]] = {}
    for statement in statements if isinstance(statements, list) else [statements]:
        listed = statement.get("Action") or statement.get("NotAction") or []
        names = [listed] if isinstance(listed, str) else listed
        actions.setdefault(str(statement.get("Effect", "?")).lower(), []).extend(names)
    return " ".join(f"{effect}({','.join(dict.fromkeys(names))})" for effect, names in actions.items())


def packed_size(value: str) -> int:
    """The size of user data as EC2 counts it: in bytes, before base64."""
    try:
        return len(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return len(value.encode())


@dataclass(frozen=True)
class UserDataSize:
    """The user data of one launch template."""

    role: str
    component: str
    size: int


def totals(recording: Recording) -> list[tuple[str, int]]:
    """The number of resources of each kind, the largest first, without components."""
    counts = Counter(short_type(resource.type) for resource in recording.resources if resource.options.custom)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def user_data_sizes(recording: Recording) -> list[UserDataSize]:
    """One entry per launch template with user data."""
    return [
        UserDataSize(_role(resource), component_of(resource), packed_size(str(resource.inputs["userData"])))
        for resource in recording.of_type(LAUNCH_TEMPLATE)
        if "userData" in resource.inputs
    ]


def _role(resource: Resource) -> str:
    specifications: list[dict[str, Any]] = resource.inputs.get("tagSpecifications", [])
    roles = [specification.get("tags", {}).get("airflow:role") for specification in specifications]
    return next((str(role) for role in roles if role), "-")


def component_of(resource: Resource) -> str:
    """The name of the component that a resource belongs to; of a resource at the top, its own."""
    return name_of(resource.parent) if resource.parent else resource.name
