"""`airflow:network`: the cluster's own VPC or an existing one."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Literal

from aws_catalog import endpoint_services, limits, regions
from settings import ipv4
from settings.draining import most_instances
from settings.errors import Fault, counted, shown
from settings.section import Section
from settings.sections.masters import MasterSettings
from settings.sections.web import WebSettings
from settings.sections.worker_pools import WorkerPools
from settings.types import Allowed, LogRetentionDays, at_least, in_catalog, matching, one_of

# The cluster's own VPC is divided into subnets for each zone and tier (components/subnet_layout.py). The smallest, in
# the data tier, are 1/64 of the VPC, and AWS allows none smaller than a /28.
OWN_VPC_PREFIXES = (limits.VPC_PREFIXES[0], limits.VPC_PREFIXES[1] - 6)


def is_own_vpc(text: str) -> bool:
    """Whether the cluster's own VPC may have this range."""
    shortest, longest = OWN_VPC_PREFIXES
    named = ipv4.network(text)
    return named is not None and ipv4.is_private(text) and shortest <= named.prefixlen <= longest


def is_existing_vpc(text: str) -> bool:
    """Whether AWS allows VPCs with this range."""
    named = ipv4.network(text)
    shortest, longest = limits.VPC_PREFIXES
    return named is not None and shortest <= named.prefixlen <= longest


def vpc_remedy(text: str) -> str:
    """What to do about text that should be the range of the cluster's own VPC."""
    interface = ipv4.interface(text)
    if isinstance(interface, str):
        return interface
    if not ipv4.is_private(f"{interface.ip}/32"):
        return (
            "choose a range within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 that no peered network uses, for "
            "example 10.80.0.0/16"
        )
    shortest, longest = OWN_VPC_PREFIXES
    # A bare address has no prefix length: suggest the largest range.
    prefix = min(max(interface.network.prefixlen if "/" in text else shortest, shortest), longest)
    fitting = ipaddress.IPv4Network((interface.ip, prefix), strict=False)
    return f"write {fitting}: AWS allows no VPC larger than a /{shortest} and no subnet smaller than a /28"


def existing_vpc_remedy(text: str) -> str:
    """What to do about text that should be the range of an existing VPC."""
    advice = ipv4.remedy(text)
    return (
        advice
        if is_existing_vpc(advice.rpartition(" ")[2])
        else "copy it from the VPC console, for example 10.0.0.0/16"
    )


VpcCidr = Annotated[str, Allowed("a private IPv4 network (RFC 1918) from /16 to /22", is_own_vpc, vpc_remedy)]
ExistingVpcCidr = Annotated[
    str, Allowed("the VPC's IPv4 network, from /16 to /28", is_existing_vpc, existing_vpc_remedy)
]
VpcId = Annotated[
    str,
    matching(
        r"vpc-(?:[0-9a-f]{8}|[0-9a-f]{17})",
        "a VPC id: vpc- and 8 or 17 hexadecimal digits",
        "copy it from the VPC page",
    ),
]
SubnetId = Annotated[
    str,
    matching(
        r"subnet-(?:[0-9a-f]{8}|[0-9a-f]{17})",
        "a subnet id: subnet- and 8 or 17 hexadecimal digits",
        "copy it from the VPC page",
    ),
]
Zone = Annotated[
    str,
    matching(
        r"[a-z]{2}(?:-[a-z]+)+-\d[a-z]",
        "an availability zone: the region and a letter, for example eu-west-1a",
        "write the zone's name, not its id (euw1-az1); Local Zones have no RDS",
    ),
]
EndpointService = Annotated[
    str,
    one_of(
        "a service with an interface endpoint, for example secretsmanager",
        endpoint_services.SERVICES,
        in_catalog("endpoint_services"),
    ),
]


class ExistingNetwork(Section):
    """An existing VPC; the program adds security groups and endpoints to it, but no subnets or routes."""

    vpc_id: VpcId
    """The VPC. DNS support and DNS host names must be on: the nodes find the api-server through a private hosted
    zone."""

    cidrs: Annotated[tuple[ExistingVpcCidr, ...], at_least(1, "network", at_most=limits.CIDR_BLOCKS_PER_VPC)]
    """All IPv4 ranges of the VPC, including secondary ones: Airflow trusts the `X-Forwarded-*` headers of load
    balancers in these ranges. If the range of a load balancer's subnet is missing, Airflow redirects users to
    `http`."""

    public_subnet_ids: tuple[SubnetId, ...] = ()
    """Subnets with a route to an internet gateway, two or more, in different zones. Only `web.public` needs them."""

    private_subnet_ids: Annotated[tuple[SubnetId, ...], at_least(2, "subnets, in different zones")]
    """Subnets of the nodes and the internal load balancer. They need a route to the internet (NAT): tasks call external
    services, and nodes call AWS APIs while they boot. An Application Load Balancer needs at least two zones."""

    data_subnet_ids: Annotated[tuple[SubnetId, ...], at_least(2, "subnets, in different zones")]
    """Subnets of the database and the broker. They need no route to the internet. RDS requires two zones even without
    Multi-AZ. They may be the private subnets."""


class NetworkSettings(Section):
    """The cluster's own VPC (`cidr` and `zones`), or an existing one (`existing`)."""

    cidr: VpcCidr | None = None
    """IPv4 range of the new VPC. It must not overlap any network that the VPC will ever be peered with. Do not change
    it in a running stack: RDS and ElastiCache cannot move to another VPC, and `pulumi up` would fail halfway
    (docs/moving-a-cluster.md)."""

    zones: tuple[Zone, ...] = ()
    """Availability zones: at least two, usually three. Each gets a public, a private and a data subnet. RDS and load
    balancers need two; with a third, two thirds of the nodes remain when a zone fails, for the price of one more NAT
    gateway. A zone can be added at any time; drain a zone before you remove it (docs/removing-a-zone.md). Not every
    zone has every instance type, database class and interface endpoint, and the same letter can stand for a different
    physical zone in each account. `aws ec2 describe-instance-type-offerings --location-type availability-zone` lists
    the instance types of your zones; for the rest, `pulumi up` shows AWS's error."""

    nat_gateways: Literal["perZone", "single"] = "perZone"
    """`perZone`: a zone's failure cuts off only its own nodes, and traffic out is not billed between zones. `single`:
    one gateway for all zones, about 35 USD a month less for each zone after the first."""

    flow_log_retention_days: LogRetentionDays = 90
    """Days that accepted and refused connections of the VPC are kept in CloudWatch Logs. Longer costs storage only."""

    interface_endpoints: tuple[EndpointService, ...] = ()
    """AWS services that the nodes reach inside the VPC instead of through NAT, for example `secretsmanager`. Each costs
    about 8 USD per zone and month. S3 always has a gateway endpoint, at no charge. Not allowed with `existing`: an
    endpoint takes over its service's DNS name for everything in the VPC. `aws ec2 describe-vpc-endpoint-services` lists
    the zones of each service."""

    existing: ExistingNetwork | None = None
    """Ids of a VPC to use. All other keys of `network` then have no effect and are refused."""

    @property
    def vpc_cidrs(self) -> tuple[str, ...]:
        """The VPC's IPv4 ranges, whether the VPC is the program's or an existing one."""
        if self.existing:
            return self.existing.cidrs
        return (self.cidr,) if self.cidr else ()


# The prefix of a private subnet is this much longer than the VPC's: the layout of components/subnet_layout.py.
PRIVATE_SUBNET_BITS = 4
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#subnets
_ADDRESSES_OF_A_LOAD_BALANCER = 8
_FEWEST_ZONES = 2


def own_or_existing(network: NetworkSettings) -> Iterator[Fault]:
    """`network` has either `cidr` and `zones`, or `existing` without any key that describes a new VPC."""
    if network.existing:
        for key, field in (
            ("cidr", "cidr"),
            ("zones", "zones"),
            ("natGateways", "nat_gateways"),
            ("flowLogRetentionDays", "flow_log_retention_days"),
            # An endpoint takes over its service's DNS name in the whole VPC, and this one would admit only the nodes.
            ("interfaceEndpoints", "interface_endpoints"),
        ):
            if field in network.model_fields_set:
                yield Fault(
                    key=f"airflow:network.{key}",
                    given="a value, although airflow:network.existing is set",
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


def zones_exist(network: NetworkSettings, region: str) -> Iterator[Fault]:
    """Zones are in the region and listed once, and there are at least two: RDS and load balancers require two."""
    zones = network.zones
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
                given=f"{shown(zone)}, listed twice",
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


def own_range_holds_the_nodes(
    network: NetworkSettings, masters: MasterSettings, worker_pools: WorkerPools
) -> Iterator[Fault]:
    """The private subnets have an address for every master, load balancer and endpoint, and for twice `maxSize`
    workers and a tenth: while a pool is replaced, the old ones finish their tasks."""
    if not network.cidr or network.existing or not network.zones:
        return
    given = ipaddress.IPv4Network(network.cidr)
    free = _addresses_for_nodes(given.prefixlen, network)
    workers = sum(most_instances(pool.max_size) for pool in worker_pools.values())
    nodes = masters.count + 1 + workers
    if nodes > free:
        wider = range(given.prefixlen - 1, limits.VPC_PREFIXES[0] - 1, -1)
        enough = next((prefix for prefix in wider if _addresses_for_nodes(prefix, network) >= nodes), None)
        yield Fault(
            key="airflow:network.cidr",
            given=f"{shown(network.cidr)}, which leaves {free:,} addresses for nodes in {len(network.zones)} zones",
            allowed=f"a range for {nodes:,} nodes: {counted(masters.count, 'master')}, one more during a "
            f"replacement, {counted(workers, 'worker')} while all pools are replaced",
            remedy=f"write {given.supernet(new_prefix=enough)}, or lower maxSize of the pools"
            if enough
            else "lower maxSize of the pools: AWS allows no larger range",
        )


def _addresses_for_nodes(prefix: int, network: NetworkSettings) -> int:
    of_a_subnet = 2 ** (32 - prefix - PRIVATE_SUBNET_BITS) - limits.ADDRESSES_RESERVED_PER_SUBNET
    return (of_a_subnet - _ADDRESSES_OF_A_LOAD_BALANCER - len(network.interface_endpoints)) * len(network.zones)


def existing_subnets_differ(network: NetworkSettings) -> Iterator[Fault]:
    """Existing private and data subnets are not among the public ones, from which a node cannot reach the internet."""
    existing = network.existing
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


def existing_public_subnets(network: NetworkSettings, web: WebSettings) -> Iterator[Fault]:
    """With `web.public`, an existing network lists at least two public subnets."""
    existing = network.existing
    if existing and web.public and len(set(existing.public_subnet_ids)) < _FEWEST_ZONES:
        yield Fault(
            key="airflow:network.existing.publicSubnetIds",
            given=shown(list(existing.public_subnet_ids)),
            allowed="two public subnets or more, in different zones, if airflow:web.public is set",
            remedy="add them, or remove airflow:web.public",
        )


RULES = (
    own_or_existing,
    zones_exist,
    own_range_holds_the_nodes,
    existing_subnets_differ,
    existing_public_subnets,
)


def endpoints_are_offered(network: NetworkSettings, region: str) -> Iterator[str]:
    """A warning about each interface endpoint that the region may not have."""
    for service in network.interface_endpoints:
        if region not in endpoint_services.REGIONS.get(service, (region,)):
            yield (
                f"airflow:network.interfaceEndpoints: {service}. AWS does not list this service in {region}, and "
                "`pulumi up` fails if it is not offered there. To check: aws ec2 describe-vpc-endpoint-services "
                f"--region {region} --service-names com.amazonaws.{region}.{service}"
            )


# In most accounts this is use1-az3, the zone that AWS's own services tell you to avoid:
# https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
_ZONE_WITH_LESS = "us-east-1e"


def zones_have_everything(network: NetworkSettings) -> Iterator[str]:
    """A warning about a zone that lacks much of what others have."""
    if _ZONE_WITH_LESS in network.zones:
        yield (
            f"airflow:network.zones: {_ZONE_WITH_LESS}. In most accounts this is use1-az3, which lacks many instance "
            "types, database classes and interface endpoints: choose another zone, unless aws ec2 "
            "describe-availability-zones --region us-east-1 shows another ZoneId for it."
        )


WARNINGS = (endpoints_are_offered, zones_have_everything)
