"""What a stack costs each month before its first task runs: a floor, from list prices of one region.

It counts what is charged by the hour or by the month, with each group of nodes at its minimum size. Traffic, log
volume, requests, storage in S3 and nodes above the minimum come on top. What has no price in the table is named.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_catalog import prices
from engine.recording import Recording, Resource
from plan import risks
from plan.effects import environment_of
from plan.resources import LAUNCH_TEMPLATE, component_of

GROUP = "aws:autoscaling/group:Group"

# Tasks at a time on one worker. https://docs.aws.amazon.com/mwaa/latest/userguide/environment-class.html
MWAA_TASKS: Mapping[str, int] = {"mw1.small": 5, "mw1.medium": 10, "mw1.large": 20}
MWAA_WORKERS = 25
"""The most workers of an environment. https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-quotas.html"""

# Types whose number, or whose inputs below, decide what they cost. The name is the one in the table of prices.
_EACH: Mapping[str, str] = {
    "aws:ec2/natGateway:NatGateway": "NAT gateway",
    "aws:ec2/eip:Eip": "public IPv4 address",
    "aws:secretsmanager/secret:Secret": "secret",
    "aws:kms/key:Key": "KMS key",
    "aws:route53/zone:Zone": "hosted zone",
}


@dataclass(frozen=True)
class Charge:
    """Something that a component has in some quantity, as long as the stack exists."""

    component: str
    quantity: float
    name: str

    @property
    def monthly(self) -> float | None:
        """US dollars; None if the table has no price for it."""
        price = prices.table().get(self.name)
        return price.monthly * self.quantity if price else None

    def __str__(self) -> str:
        return f"{self.quantity:g} {self.name}" if self.name.startswith("GB ") else f"{self.quantity:g} x {self.name}"


@dataclass(frozen=True)
class Floor:
    """What a stack costs at rest, and how many tasks its workers run at a time then."""

    charges: Sequence[Charge]
    tasks: int

    @property
    def monthly(self) -> float:
        """US dollars, without the charges that have no price."""
        return sum(charge.monthly or 0 for charge in self.charges)

    @property
    def unpriced(self) -> Sequence[Charge]:
        """The charges that the table has no price for."""
        return [charge for charge in self.charges if charge.monthly is None]

    def components(self) -> Sequence[tuple[str, float, str]]:
        """Each component with its share in US dollars and what is charged there, the dearest first."""
        charged: dict[str, list[Charge]] = defaultdict(list)
        for charge in self.charges:
            if charge.monthly is not None:
                charged[charge.component].append(charge)
        shares = [
            (name, sum(charge.monthly or 0 for charge in found), ", ".join(map(str, found)))
            for name, found in charged.items()
        ]
        return sorted(shares, key=lambda share: -share[1])


@dataclass(frozen=True)
class Mwaa:
    """An MWAA environment, without its VPC, its logs and the storage of its metadata."""

    environment_class: str
    workers: int
    monthly: float

    @property
    def size(self) -> str:
        """Its class and number of workers, in words."""
        return f"{self.environment_class} with {self.workers} worker{'' if self.workers == 1 else 's'}"


def floor(recording: Recording) -> Floor:
    """The floor of what was recorded."""
    quantities: dict[tuple[str, str], float] = defaultdict(float)
    for resource in recording.resources:
        for quantity, name in _charges(resource, recording):
            quantities[component_of(resource), name] += quantity
    charges = [Charge(component, quantity, name) for (component, name), quantity in quantities.items() if quantity]
    tasks = sum(_size(group) * concurrency(group, recording) for group in recording.of_type(GROUP))
    return Floor(charges, tasks)


def pausable(recording: Recording) -> float:
    """US dollars a month for what a paused cluster does not use: all nodes with their disks, and the database's
    instances; its storage stays."""
    stopped = [charge for group in recording.of_type(GROUP) for charge in _charges(group, recording)]
    stopped += [next(_charges(database, recording)) for database in recording.of_type(risks.INSTANCE)]
    return sum(Charge("", quantity, name).monthly or 0 for quantity, name in stopped)


def mwaa(tasks: int) -> Mwaa | None:
    """The cheapest environment that runs as many tasks at a time; None if none does."""
    table = prices.table()
    found = []
    for name, each in MWAA_TASKS.items():
        workers = max(1, math.ceil(tasks / each))
        if workers <= MWAA_WORKERS:
            more = (workers - 1) * table[f"{name} worker"].monthly
            found.append(Mwaa(name, workers, table[name].monthly + more))
    return min(found, key=lambda each: each.monthly, default=None)


def concurrency(group: Resource, recording: Recording) -> int:
    """Tasks at a time on one node of the group; 0 if its nodes are no workers."""
    template = template_of(group, recording)
    return int(environment_of(template).get("NODE_CONCURRENCY", 0)) if template else 0


def node_hour(group: Resource, recording: Recording) -> tuple[str, float | None]:
    """The instance type that the group prefers, and US dollars for an hour of such a node; None without a price."""
    found = [Charge("", quantity, name) for quantity, name in _one_node(group, recording)]
    monthly = [charge.monthly for charge in found]
    return found[0].name, None if None in monthly else sum(each or 0 for each in monthly) / prices.HOURS


def lines(recording: Recording, region: str) -> list[str]:
    """The floor as text; nothing if the stack has nothing that is charged for."""
    found = floor(recording)
    if not found.charges:
        return []
    first, last = prices.years()
    other = "" if region == prices.region() else f"; those of {region} differ"
    shown = [
        f"At rest the stack costs at least ${found.monthly:,.0f} a month "
        f"(list prices of {prices.region()}, from sources of {first} to {last}{other}: docs/cost.md)",
        *(f"  {name:<20} ${usd:>8,.2f}  {charged}" for name, usd, charged in found.components()),
    ]
    if found.unpriced:
        shown.append(f"  not in the table of prices: {', '.join(map(str, found.unpriced))}")
    shown.append("  use adds: nodes above the minimum, traffic, requests, logs, storage in S3, backups")
    if (environment := mwaa(found.tasks)) is not None:
        capacity = f" for the same {found.tasks} tasks at a time" if found.tasks else ""
        shown.append(
            f"  Amazon MWAA's list price{capacity}: ${environment.monthly:,.0f} ({environment.size}), "
            "without its VPC, logs and storage"
        )
    return shown


def _charges(resource: Resource, recording: Recording) -> Iterator[tuple[float, str]]:
    inputs = resource.inputs
    match resource.type:
        case "aws:autoscaling/group:Group":
            yield from _nodes(resource, recording)
        case "aws:ebs/volume:Volume":
            yield inputs.get("size", 0), f"GB of EBS {inputs.get('type', 'gp2')}"
        case risks.INSTANCE:
            # Instance and storage are billed for the standby, too:
            # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_OnDemandDBInstances.html
            instances = 2 if inputs.get("multiAz") else 1
            yield instances, str(inputs.get("instanceClass"))
            yield instances * inputs.get("allocatedStorage", 0), f"GB of RDS {inputs.get('storageType', 'gp2')}"
        case "aws:elasticache/replicationGroup:ReplicationGroup":
            yield inputs.get("numCacheClusters", 1), str(inputs.get("nodeType"))
        case "aws:lb/loadBalancer:LoadBalancer":
            yield 1, "Application Load Balancer"
            if not inputs.get("internal"):
                yield len(inputs.get("subnets", [])), "public IPv4 address"  # one in each zone
        case "aws:ec2/vpcEndpoint:VpcEndpoint" if inputs.get("vpcEndpointType") == "Interface":
            yield len(inputs.get("subnetIds", [])), "interface endpoint in a subnet"
        case "aws:cloudwatch/metricAlarm:MetricAlarm":
            queries = [query for query in inputs.get("metricQueries", []) if "metric" in query]
            yield len(queries) or 1, "metric of an alarm"
        case type_ if type_ in _EACH:
            yield 1, _EACH[type_]


def _nodes(group: Resource, recording: Recording) -> Iterator[tuple[float, str]]:
    """The nodes of a group at its minimum size."""
    (_, instance_type), *others = _one_node(group, recording)
    distribution = group.inputs.get("mixedInstancesPolicy", {}).get("instancesDistribution", {})
    size = _size(group)
    base = min(size, distribution.get("onDemandBaseCapacity", 0))
    on_demand = base + math.ceil((size - base) * distribution.get("onDemandPercentageAboveBaseCapacity", 100) / 100)
    yield on_demand, instance_type
    yield size - on_demand, f"{instance_type} spot"
    yield from ((size * quantity, name) for quantity, name in others)


def _one_node(group: Resource, recording: Recording) -> Iterator[tuple[float, str]]:
    """A node of the type that the group prefers, then what comes with it."""
    template = template_of(group, recording)
    inputs: Mapping[str, Any] = template.inputs if template else {}
    overrides = group.inputs.get("mixedInstancesPolicy", {}).get("launchTemplate", {}).get("overrides", [])
    yield 1, str((overrides[0] if overrides else inputs).get("instanceType", "unknown instance type"))
    for mapping in inputs.get("blockDeviceMappings", []):
        volume = mapping.get("ebs", {})
        yield volume.get("volumeSize", 0), f"GB of EBS {volume.get('volumeType', 'gp2')}"
    if inputs.get("monitoring", {}).get("enabled"):
        yield 1, "detailed monitoring"


def _size(group: Resource) -> int:
    return int(group.inputs.get("minSize", 0))


def template_of(group: Resource, recording: Recording) -> Resource | None:
    """The launch template in the group's component."""
    return next((each for each in recording.of_type(LAUNCH_TEMPLATE) if each.parent == group.parent), None)
