"""What the plan's recorded resources need of an account. There is no second list: all of it is read from the plan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engine.recording import Recording, Resource

CLUSTER_TAG = "airflow:cluster"
GROUP = "aws:autoscaling/group:Group"
SUBNET = "aws:ec2/subnet:Subnet"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


@dataclass(frozen=True, kw_only=True)
class NodeGroup:
    """An Auto Scaling group at its largest.

    Attributes:
        on_demand: the most on-demand instances, one more than the group's size where an update starts the new node
            before it terminates the old one.
        spot: the most spot instances.
    """

    name: str
    instance_types: Sequence[str]
    on_demand: int
    spot: int
    subnet_ids: Sequence[str]
    template: Mapping[str, Any]


class Needs:
    """The plan of a cluster, with the questions that the checks ask about it."""

    def __init__(self, recording: Recording, *, cluster: str, account_id: str, region: str) -> None:
        self.recording = recording
        self.cluster = cluster
        self.account_id = account_id
        self.region = region

    def of_type(self, type_: str) -> Sequence[Resource]:
        """The planned resources with this type token."""
        return self.recording.of_type(type_)

    @cached_property
    def planned_ids(self) -> frozenset[str]:
        """Ids and ARNs that the plan made up, as opposed to those of the stack file."""
        made_up = {str(each.outputs.get("arn", "")) for each in self.recording.resources}
        return frozenset({each.id for each in self.recording.resources} | made_up)

    @cached_property
    def groups(self) -> Sequence[NodeGroup]:
        """The groups of nodes."""
        templates = {each.id: each.inputs for each in self.of_type(TEMPLATE)}
        return [_group(each.inputs, templates) for each in self.of_type(GROUP)]

    @cached_property
    def subnet_zones(self) -> Mapping[str, str]:
        """The zone of each planned subnet by its made-up id; empty with an existing VPC."""
        return {each.id: str(each.inputs["availabilityZone"]) for each in self.of_type(SUBNET)}

    def tagged_as_planned(self, type_: str, tags: Mapping[str, str]) -> bool:
        """Whether something in AWS has all the tags of one of the planned resources of a type."""
        planned = [each.outputs.get("tagsAll") or {} for each in self.of_type(type_)]
        return any(wanted and wanted.items() <= tags.items() for wanted in planned)


def tags_of(described: Mapping[str, Any], key: str = "Tags") -> dict[str, str]:
    """The tags of something that AWS describes."""
    return {str(tag["Key"]): str(tag["Value"]) for tag in described.get(key) or ()}


def listed(values: Iterable[Any]) -> str:
    """Values as an enumeration, each once."""
    return ", ".join(dict.fromkeys(map(str, values)))


def _group(inputs: Mapping[str, Any], templates: Mapping[str, Mapping[str, Any]]) -> NodeGroup:
    most = int(inputs["maxSize"])
    maintenance = inputs.get("instanceMaintenancePolicy") or {}
    # Launch before terminate: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-maintenance-policy.html
    # A pool below its maximum has room for that; a group of fixed size needs it.
    if inputs.get("minSize") == inputs["maxSize"]:
        most = max(most, math.ceil(most * int(maintenance.get("maxHealthyPercentage", 100)) / 100))
    mixed = inputs.get("mixedInstancesPolicy")
    if not mixed:
        template = templates[inputs["launchTemplate"]["id"]]
        types, on_demand = [str(template["instanceType"])], most
    else:
        source, spread = mixed["launchTemplate"], mixed["instancesDistribution"]
        template = templates[source["launchTemplateSpecification"]["launchTemplateId"]]
        types = [str(each["instanceType"]) for each in source["overrides"]]
        base = min(int(spread["onDemandBaseCapacity"]), most)
        on_demand = base + math.ceil((most - base) * int(spread["onDemandPercentageAboveBaseCapacity"]) / 100)
    return NodeGroup(
        name=str(inputs["name"]),
        instance_types=types,
        on_demand=on_demand,
        spot=most - on_demand,
        subnet_ids=inputs["vpcZoneIdentifiers"],
        template=template,
    )
