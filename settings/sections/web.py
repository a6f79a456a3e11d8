"""What the load balancers, their names and their sources have to agree on."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aws_catalog import limits
from settings import ipv4
from settings.errors import Fault, shown

if TYPE_CHECKING:
    from settings.stack import Settings

# Wider than any private range there is.
_WIDEST_INTERNAL_PREFIX = 8


def domain_and_zone(settings: Settings) -> Iterator[Fault]:
    """`domain` and `hostedZoneId` are set together."""
    web = settings.web
    if web.domain and not web.hosted_zone_id:
        yield Fault(
            key="airflow:web.hostedZoneId",
            given=f"nothing, with domain {shown(web.domain)}",
            allowed="the id of the public Route 53 zone that holds the domain",
            remedy="add it: the certificate is validated and the record written there; or remove domain",
        )
    if web.hosted_zone_id and not web.domain:
        yield Fault(
            key="airflow:web.domain",
            given=f"nothing, with hostedZoneId {shown(web.hosted_zone_id)}",
            allowed="the host name of the UI in that zone",
            remedy="add it, for example airflow.example.com; or remove hostedZoneId",
        )


def public_has_a_domain(settings: Settings) -> Iterator[Fault]:
    """`public` requires `domain`: access from the internet is HTTPS only."""
    if settings.web.public and not settings.web.domain:
        yield Fault(
            key="airflow:web.public",
            given="public access without a domain",
            allowed="public access if airflow:web.domain and hostedZoneId are set: it is HTTPS only",
            remedy="add both, or remove public and reach the UI through a VPN",
        )


def internal_sources_are_internal(settings: Settings) -> Iterator[Fault]:
    """Networks of the internal load balancer are /8 or narrower and can be the source of packets; the internet has no
    access to it."""
    for index, cidr in enumerate(settings.web.allowed_cidrs):
        wide = ipaddress.IPv4Network(cidr).prefixlen < _WIDEST_INTERNAL_PREFIX
        if wide or ipv4.is_never_a_source(cidr):
            yield Fault(
                key=f"airflow:web.allowedCidrs[{index}]",
                given=shown(cidr),
                allowed=f"networks of your users: /{_WIDEST_INTERNAL_PREFIX} or narrower, such as the VPC's or a VPN's",
                remedy=f"{'list the networks' if wide else 'remove it'}; for access from the internet set "
                "airflow:web.public",
            )


def public_sources_are_public(settings: Settings) -> Iterator[Fault]:
    """Networks of the public load balancer are public; packets from other addresses never reach it."""
    if not settings.web.public:
        return
    for index, cidr in enumerate(settings.web.public.allowed_cidrs):
        if not ipv4.is_on_the_internet(cidr):
            yield Fault(
                key=f"airflow:web.public.allowedCidrs[{index}]",
                given=shown(cidr),
                allowed="public networks: a client on the internet has a public address",
                remedy=f"{'remove it' if ipv4.is_never_a_source(cidr) else 'move it to airflow:web.allowedCidrs'}, or "
                "give the public address from which it reaches the internet",
            )


def internal_sources_do_not_overlap(settings: Settings) -> Iterator[Fault]:
    """No network of `allowedCidrs` lies inside another: the narrower one would do nothing, and look like a limit."""
    yield from _overlaps("airflow:web.allowedCidrs", settings.web.allowed_cidrs)


def public_sources_do_not_overlap(settings: Settings) -> Iterator[Fault]:
    """The same holds for `public.allowedCidrs`."""
    if settings.web.public:
        yield from _overlaps("airflow:web.public.allowedCidrs", settings.web.public.allowed_cidrs)


def _overlaps(key: str, cidrs: Sequence[str]) -> Iterator[Fault]:
    networks = [ipaddress.IPv4Network(cidr) for cidr in cidrs]
    for index, network in enumerate(networks):
        wider = next((other for other in networks if other != network and network.subnet_of(other)), None)
        if wider:
            yield Fault(
                key=f"{key}[{index}]",
                given=f"{shown(str(network))}, which lies inside {wider}",
                allowed="networks that do not overlap",
                remedy=f"remove it, or remove {wider} if that was too wide",
            )


def sources_fit_a_security_group(settings: Settings) -> Iterator[Fault]:
    """All allowed networks fit in a security group, which needs one rule for each network and port."""
    ports = 2 if settings.web.domain else 1
    most = (limits.RULES_PER_SECURITY_GROUP - 1) // ports
    if len(settings.web.allowed_cidrs) > most:
        yield Fault(
            key="airflow:web.allowedCidrs",
            given=f"{len(settings.web.allowed_cidrs)} networks",
            allowed=f"at most {most}: a security group has {limits.RULES_PER_SECURITY_GROUP} rules, and each network "
            f"needs {ports}",
            remedy="merge neighbouring networks into wider ones",
        )
    if settings.web.public and len(settings.web.public.allowed_cidrs) > limits.RULES_PER_SECURITY_GROUP:
        yield Fault(
            key="airflow:web.public.allowedCidrs",
            given=f"{len(settings.web.public.allowed_cidrs)} networks",
            allowed=f"at most {limits.RULES_PER_SECURITY_GROUP}, the rules of a security group",
            remedy="merge neighbouring networks into wider ones",
        )
