"""Load balancers and domain: quotas, and the hosted zone that has to contain the domain."""

from __future__ import annotations

from collections.abc import Iterator

from preflight import quotas
from preflight.account import Account
from preflight.checks import Finding, cannot_tell, passed, will_fail
from preflight.needs import Needs, listed
from preflight.quotas import fits

LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
RECORD = "aws:route53/record:Record"
CERTIFICATE = "aws:acm/certificate:Certificate"


def load_balancer_quotas(needs: Needs, account: Account) -> Iterator[Finding]:
    """Load balancers and target groups in the region."""
    planned = {str(each.inputs["name"]) for each in needs.of_type(LOAD_BALANCER)}
    if not planned:
        return
    found = account.call("elbv2", "describe_load_balancers").get("LoadBalancers", [])
    others = [each for each in found if each["Type"] == "application" and each["LoadBalancerName"] not in planned]
    yield from fits(quotas.LOAD_BALANCERS, account, used=len(others), needed=len(planned))
    ours = {each["LoadBalancerArn"] for each in found if each["LoadBalancerName"] in planned}
    groups = account.call("elbv2", "describe_target_groups").get("TargetGroups", [])
    others = [each for each in groups if not ours & set(each.get("LoadBalancerArns", ()))]
    yield from fits(quotas.TARGET_GROUPS, account, used=len(others), needed=len(needs.of_type(TARGET_GROUP)))


def hosted_zone(needs: Needs, account: Account) -> Iterator[Finding]:
    """The hosted zone of the stack file exists, contains the domain, and is public, so that ACM can see its records."""
    certificates = [str(each.inputs["domainName"]) for each in needs.of_type(CERTIFICATE)]
    records = [each for each in needs.of_type(RECORD) if each.inputs["zoneId"] not in needs.planned_ids]
    for zone_id in dict.fromkeys(str(each.inputs["zoneId"]) for each in records):
        found = account.call("route53", "get_hosted_zone", absent=("NoSuchHostedZone",), Id=zone_id)
        if not found:
            yield will_fail(f"there is no hosted zone {zone_id} in this account: correct airflow:web.hostedZoneId.")
            continue
        zone = found["HostedZone"]["Name"].rstrip(".")
        outside = [name for name in certificates if not f".{name}".endswith(f".{zone}")]
        if outside:
            yield will_fail(f"{listed(outside)} is not in the hosted zone {zone} ({zone_id}): correct either of them.")
        elif certificates and found["HostedZone"].get("Config", {}).get("PrivateZone"):
            yield will_fail(
                f"the hosted zone {zone} ({zone_id}) is private, and ACM validates a certificate only by records in a "
                "public zone: set airflow:web.hostedZoneId to the public zone of the domain."
            )
        elif not found.get("DelegationSet", {}).get("NameServers"):
            yield cannot_tell(f"the hosted zone {zone} ({zone_id}) lists no name servers: check its delegation.")
        else:
            servers = listed(sorted(found["DelegationSet"]["NameServers"]))
            yield passed(f"{zone} contains {listed(certificates)}; the domain has to be delegated to {servers}")
