"""What other commands need to know about the running lab, in a file that only root can read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import host
from lab.node import Node
from lab.progress import LabError


@dataclass(frozen=True, kw_only=True)
class NodeDescription:
    """How to find and enter one node.

    Attributes:
        leader: its PID 1 as this machine numbers it.
        state: its lifecycle state in its group: `Pending:Wait`, `InService`, `Terminating:Wait`, ...
    """

    name: str
    instance_id: str
    address: str
    zone: str
    leader: int
    state: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """The running lab."""

    cluster: str
    url: str
    aws_address: str
    ca_file: str
    region: str
    access_key_id: str
    secret_access_key: str
    dags_bucket: str
    admin: str
    admin_secret: str
    nodes: tuple[NodeDescription, ...] = ()


FILE = host.STATE / "lab.json"


def describe_nodes(nodes: Sequence[Node], states: Mapping[str, str]) -> tuple[NodeDescription, ...]:
    """The nodes as the file lists them; `states` by instance id."""
    return tuple(
        NodeDescription(
            name=node.name,
            instance_id=node.instance.id,
            address=str(node.instance.address),
            zone=node.instance.zone,
            leader=node.leader,
            state=states[node.instance.id],
        )
        for node in nodes
    )


def write(description: Description, file: Path = FILE) -> None:
    """Write the file at once, so that nobody reads half of it."""
    new = file.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        json.dump(asdict(description), opened)
    new.rename(file)


def read(file: Path = FILE) -> Description:
    """The running lab; LabError when none is up."""
    if not file.exists():
        raise LabError("No lab is up. Start one with `make lab`, in another terminal.")
    given = json.loads(file.read_text())
    return Description(**given | {"nodes": tuple(NodeDescription(**node) for node in given["nodes"])})


def find_node(description: Description, name: str) -> NodeDescription:
    """A node by its name, its instance id or its address; LabError that lists them all when there is none."""
    for node in description.nodes:
        if name in (node.name, node.instance_id, node.address):
            return node
    known = ", ".join(node.name for node in description.nodes) or "none yet"
    raise LabError(f"NODE={name} is not a node of the lab. Nodes: {known}.")
