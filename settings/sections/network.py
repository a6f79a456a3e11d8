"""What the parts of the network have to agree on."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aws_catalog import limits, regions
from settings.draining import most_instances
from settings.errors import Fault, counted, shown

if TYPE_CHECKING:
    from settings.stack import NetworkSettings, Settings

# How much longer than the VPC's a private subnet's prefix is: the layout of components/subnet_layout.py.
PRIVATE_SUBNET_BITS = 4
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#subnets
_ADDRESSES_OF_A_LOAD_BALANCER = 8
_FEWEST_ZONES = 2


def own_or_existing(settings: Settings) -> Iterator[Fault]:
    """`network` has either `cidr` and `zones`, or `existing` without any key that describes a new VPC."""
    network = settings.network
    if network.existing:
        for key, field in (
            ("cidr", "cidr"),
            ("zones", "zones"),
            ("natGateways", "nat_gateways"),
            ("flowLogRetentionDays", "flow_log_retention_days"),
            # An endpoint takes over its service's name in the whole VPC, and ours would turn away all but our nodes.
            ("interfaceEndpoints", "interface_endpoints"),
        ):
            if field in network.model_fields_set:
                yield Fault(
                    key=f"airflow:network.{key}",
                    given="a value, and airflow:network.existing beside it",
                    allowed="nothing: an existing VPC already has its range, zones, NAT, flow logs and endpoints",
                    remedy=f"remove {key}, or remove existing to create a VPC",
                )
        return
    for key, value, example in (("cidr", network.cidr, "10.80.0.0/16"), ("zones", network.zones, "[a, b]")):
        if not value:
            yield Fault(
                key=f"airflow:network.{key}",
                given="nothing",
                allowed="cidr and zones of a new VPC, or existing with the ids of an existing one",
                remedy=f"add it, for example {example}",
            )


def zones_exist(settings: Settings) -> Iterator[Fault]:
    """Zones are in the region and listed once, and there are at least two: RDS and load balancers require two."""
    zones, region = settings.network.zones, settings.region
    for index, zone in enumerate(zones):
        if zone not in regions.zones(region):
            yield Fault(
                key=f"airflow:network.zones[{index}]",
                given=shown(zone),
                allowed=f"a zone of {region}: {', '.join(regions.zones(region))}",
                remedy="choose a zone of aws:region, or change the region",
            )
        elif zone in zones[:index]:
            yield Fault(
                key=f"airflow:network.zones[{index}]",
                given=f"{shown(zone)}, a second time",
                allowed="each zone once",
                remedy="remove it or choose another zone",
            )
    if zones and len(set(zones)) < _FEWEST_ZONES:
        yield Fault(
            key="airflow:network.zones",
            given=shown(list(zones)),
            allowed="two zones or more: RDS and load balancers require two, even if everything runs in one",
            remedy="add a zone; without its own NAT gateway (natGateways: single) it costs nothing",
        )


def own_range_holds_the_nodes(settings: Settings) -> Iterator[Fault]:
    """The private subnets have an address for every master, load balancer and endpoint, and for twice `maxSize`
    workers and a tenth: while a pool is replaced, the old ones finish their tasks."""
    own = settings.network
    if not own.cidr or own.existing or not own.zones:
        return
    given = ipaddress.IPv4Network(own.cidr)
    free = _addresses_for_nodes(given.prefixlen, own)
    workers = sum(most_instances(pool.max_size) for pool in settings.worker_pools.values())
    nodes = settings.masters.count + 1 + workers
    if nodes > free:
        wider = range(given.prefixlen - 1, limits.VPC_PREFIXES[0] - 1, -1)
        enough = next((prefix for prefix in wider if _addresses_for_nodes(prefix, own) >= nodes), None)
        yield Fault(
            key="airflow:network.cidr",
            given=f"{shown(own.cidr)}, which leaves {free:,} addresses for nodes in {len(own.zones)} zones",
            allowed=f"a range for {nodes:,} nodes: {counted(settings.masters.count, 'master')}, one more during a "
            f"replacement, {counted(workers, 'worker')} while all pools are replaced",
            remedy=f"write {given.supernet(new_prefix=enough)}, or lower maxSize of the pools"
            if enough
            else "lower maxSize of the pools: AWS allows no larger range",
        )


def _addresses_for_nodes(prefix: int, own: NetworkSettings) -> int:
    of_a_subnet = 2 ** (32 - prefix - PRIVATE_SUBNET_BITS) - limits.ADDRESSES_RESERVED_PER_SUBNET
    return (of_a_subnet - _ADDRESSES_OF_A_LOAD_BALANCER - len(own.interface_endpoints)) * len(own.zones)


def existing_subnets_differ(settings: Settings) -> Iterator[Fault]:
    """Existing private and data subnets are not among the public ones, from which a node cannot reach the internet."""
    existing = settings.network.existing
    if not existing:
        return
    for key, subnets in (
        ("privateSubnetIds", existing.private_subnet_ids),
        ("dataSubnetIds", existing.data_subnet_ids),
    ):
        if shared := sorted(set(subnets) & set(existing.public_subnet_ids)):
            yield Fault(
                key=f"airflow:network.existing.{key}",
                given=f"{', '.join(shared)}, also among publicSubnetIds",
                allowed="subnets that are not public ones: nodes and databases get no public address",
                remedy="give subnets whose default route is a NAT gateway, or none for data",
            )


def existing_public_subnets(settings: Settings) -> Iterator[Fault]:
    """With `web.public`, an existing network lists at least two public subnets."""
    existing, public = settings.network.existing, settings.web.public
    if existing and public and len(set(existing.public_subnet_ids)) < _FEWEST_ZONES:
        yield Fault(
            key="airflow:network.existing.publicSubnetIds",
            given=shown(list(existing.public_subnet_ids)),
            allowed="two public subnets or more, in different zones, if airflow:web.public is set",
            remedy="add them, or remove airflow:web.public",
        )
