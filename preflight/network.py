"""VPC: zones, an existing network, endpoint services and the quotas of a new network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from preflight import quotas
from preflight.account import Account
from preflight.checks import Finding, passed, will_fail
from preflight.needs import SUBNET, Needs, listed, tags_of
from preflight.quotas import fits

VPC = "aws:ec2/vpc:Vpc"
ELASTIC_IP = "aws:ec2/eip:Eip"
NAT_GATEWAY = "aws:ec2/natGateway:NatGateway"
INTERNET_GATEWAY = "aws:ec2/internetGateway:InternetGateway"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
RULES = (
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
)
_WITH_SUBNETS = (
    ("aws:autoscaling/group:Group", "vpcZoneIdentifiers"),
    ("aws:rds/subnetGroup:SubnetGroup", "subnetIds"),
    ("aws:elasticache/subnetGroup:SubnetGroup", "subnetIds"),
    ("aws:lb/loadBalancer:LoadBalancer", "subnets"),
)


def zones_of(subnet_ids: Iterable[str], needs: Needs, account: Account) -> Sequence[str]:
    """The zones of subnets, planned or existing, each once; an existing subnet that AWS does not know has none."""
    ids = list(subnet_ids)
    known = dict(needs.subnet_zones)
    if existing := sorted(set(ids) - known.keys()):
        known |= _existing_subnets(existing, account)
    return sorted({known[id_] for id_ in ids if id_ in known})


def _existing_subnets(ids: Sequence[str], account: Account) -> dict[str, str]:
    # A filter, because EC2 refuses a request with SubnetIds if one of them does not exist.
    found = account.call("ec2", "describe_subnets", Filters=[{"Name": "subnet-id", "Values": list(ids)}])
    return {each["SubnetId"]: each["AvailabilityZone"] for each in found.get("Subnets", [])}


def zones(needs: Needs, account: Account) -> Iterator[Finding]:
    """The plan's zones exist, under this account's names for them, and take new resources."""
    wanted = sorted(set(needs.subnet_zones.values()))
    if not wanted:
        return
    found = account.call("ec2", "describe_availability_zones", AllAvailabilityZones=True)["AvailabilityZones"]
    state = {each["ZoneName"]: (each["State"], each.get("OptInStatus", "opt-in-not-required")) for each in found}
    usable = sorted(zone for zone, (now, opted) in state.items() if now == "available" and opted != "not-opted-in")
    wrong = [zone for zone in wanted if zone not in usable]
    if wrong:
        yield will_fail(
            f"{listed(wrong)} cannot be used by this account. Set airflow:network.zones to some of: {listed(usable)}."
        )
    else:
        yield passed(f"{listed(wanted)} are available")


def existing_network(needs: Needs, account: Account) -> Iterator[Finding]:
    """The subnets of the stack file exist."""
    ids = {id_ for type_, key in _WITH_SUBNETS for each in needs.of_type(type_) for id_ in each.inputs[key]}
    given = sorted(ids - needs.subnet_zones.keys())
    if not given:
        return
    found = _existing_subnets(given, account)
    missing = [id_ for id_ in given if id_ not in found]
    if missing:
        yield will_fail(f"{listed(missing)} do not exist in {needs.region}: correct airflow:network.existing.")
    else:
        yield passed(f"{len(found)} subnets exist, in {listed(sorted(found.values()))}")


def endpoint_services(needs: Needs, account: Account) -> Iterator[Finding]:
    """Each endpoint's service is offered, in every zone in which the endpoint gets an address."""
    planned = {str(each.inputs["serviceName"]): each.inputs for each in needs.of_type(ENDPOINT)}
    if not planned:
        return
    answer = account.call(
        "ec2", "describe_vpc_endpoint_services", Filters=[{"Name": "service-name", "Values": sorted(planned)}]
    )
    offered = {each["ServiceName"]: each["AvailabilityZones"] for each in answer.get("ServiceDetails", [])}
    for name, inputs in planned.items():
        wanted = zones_of(inputs.get("subnetIds") or (), needs, account)
        lacking = [zone for zone in wanted if zone not in offered.get(name, ())]
        if name not in offered:
            yield will_fail(
                f"{name} is not offered in {needs.region}: remove it from airflow:network.interfaceEndpoints."
            )
        elif lacking:
            yield will_fail(f"{name} is not offered in {listed(lacking)}: remove it, or use other zones.")
        else:
            yield passed(f"{name} is offered")


def network_quotas(needs: Needs, account: Account) -> Iterator[Finding]:
    """VPCs, gateways, addresses, subnets, endpoints and security groups, beside those of others."""
    for quota, type_, method, key in (
        (quotas.VPCS, VPC, "describe_vpcs", "Vpcs"),
        (quotas.INTERNET_GATEWAYS, INTERNET_GATEWAY, "describe_internet_gateways", "InternetGateways"),
        (quotas.ELASTIC_IPS, ELASTIC_IP, "describe_addresses", "Addresses"),
        (quotas.SECURITY_GROUPS, SECURITY_GROUP, "describe_security_groups", "SecurityGroups"),
    ):
        planned = len(needs.of_type(type_))
        if planned:
            found = account.call("ec2", method).get(key, [])
            others = [each for each in found if not needs.tagged_as_planned(type_, tags_of(each))]
            yield from fits(quota, account, used=len(others), needed=planned)
    yield from _nat_gateways(needs, account)
    yield from _in_the_vpc(needs, account)


def _nat_gateways(needs: Needs, account: Account) -> Iterator[Finding]:
    planned = Counter(needs.subnet_zones[each.inputs["subnetId"]] for each in needs.of_type(NAT_GATEWAY))
    if not planned:
        return
    states = [{"Name": "state", "Values": ["pending", "available", "deleting"]}]
    found = account.call("ec2", "describe_nat_gateways", Filter=states).get("NatGateways", [])
    others = [each for each in found if not needs.tagged_as_planned(NAT_GATEWAY, tags_of(each))]
    zone_of = _existing_subnets([each["SubnetId"] for each in others], account) if others else {}
    used = Counter(zone_of.get(each["SubnetId"]) for each in others)
    for zone, count in sorted(planned.items()):
        yield from fits(quotas.NAT_GATEWAYS, account, used=used[zone], needed=count, where=zone)


def _in_the_vpc(needs: Needs, account: Account) -> Iterator[Finding]:
    """What a VPC of the plan's own holds, and the rules of its largest security group."""
    interface = sum(each.inputs.get("vpcEndpointType") == "Interface" for each in needs.of_type(ENDPOINT))
    if needs.of_type(VPC):
        yield from fits(quotas.SUBNETS, account, used=0, needed=len(needs.of_type(SUBNET)))
        yield from fits(quotas.INTERFACE_ENDPOINTS, account, used=0, needed=interface)
    if gateway := len(needs.of_type(ENDPOINT)) - interface:
        found = account.call(
            "ec2", "describe_vpc_endpoints", Filters=[{"Name": "vpc-endpoint-type", "Values": ["Gateway"]}]
        ).get("VpcEndpoints", [])
        others = [each for each in found if not needs.tagged_as_planned(ENDPOINT, tags_of(each))]
        yield from fits(quotas.GATEWAY_ENDPOINTS, account, used=len(others), needed=gateway)
    rules = Counter((type_, each.inputs["securityGroupId"]) for type_ in RULES for each in needs.of_type(type_))
    yield from fits(quotas.RULES, account, used=0, needed=max(rules.values(), default=0))
