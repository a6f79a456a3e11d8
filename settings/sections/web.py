"""`airflow:web`: the load balancers, the UI's domain, and who may reach it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from aws_catalog import limits
from settings import ipv4
from settings.errors import Fault, shown
from settings.section import Section
from settings.types import Allowed, at_least, matching

# Endings for which no certificate authority may issue certificates
# (https://www.iana.org/assignments/special-use-domain-names), and others that companies use internally and that cannot
# be registered.
_PRIVATE_ENDINGS = frozenset(
    {
        *("arpa", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain"),
        *("localhost", "mail", "onion", "private", "test"),
    }
)
_HOST_NAME = re.compile(
    rf"(?=.{{4,{limits.CERTIFICATE_NAME_LENGTH}}}$)(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]"
)


def _is_public_name(text: str) -> bool:
    return bool(_HOST_NAME.fullmatch(text)) and text.rpartition(".")[2] not in _PRIVATE_ENDINGS


def _domain_remedy(text: str) -> str:
    ending = text.rpartition(".")[2]
    if ending in _PRIVATE_ENDINGS:
        return (
            f"choose a name in a domain that you own, for example airflow.example.com: .{ending} cannot be registered"
        )
    bare = re.sub(r"^[a-z]+://|[:/].*$|\.$", "", text.strip().lower())
    return f"write {bare}" if _is_public_name(bare) else "give a full host name, for example airflow.example.com"


Cidr = Annotated[str, Allowed("an IPv4 network such as 10.80.0.0/16", ipv4.is_network, ipv4.remedy)]
HostedZoneId = Annotated[
    str,
    matching(
        r"Z[A-Z0-9]{1,31}",
        "a Route 53 hosted zone id: Z and up to 31 capital letters and digits",
        lambda text: (
            f"write {text.removeprefix('/hostedzone/')}"
            if text.startswith("/hostedzone/Z")
            else "`aws route53 list-hosted-zones` prints it; leave out the prefix /hostedzone/"
        ),
    ),
]
DomainName = Annotated[
    str,
    Allowed(
        f"a public host name in lower case, at most {limits.CERTIFICATE_NAME_LENGTH} characters (ACM), without scheme, "
        "port, wildcard or final dot",
        _is_public_name,
        _domain_remedy,
    ),
]


class PublicWeb(Section):
    """A second, internet-facing ALB: HTTPS only, without the execution API. The domain's record then leads all users to
    it, including those in `web.allowedCidrs`: its own `allowedCidrs` must include their public addresses. The internal
    load balancer still accepts those users on 443, but no name in its certificate leads to it, unless your own DNS
    resolves the domain to it."""

    allowed_cidrs: Annotated[tuple[Cidr, ...], at_least(1, "network")] = ("0.0.0.0/0",)
    """Public IPv4 networks that may reach it on port 443. The default is the whole internet: Airflow's login is then
    the only protection of the UI."""


class WebSettings(Section):
    """Who can reach Airflow's UI and API, and under which name."""

    allowed_cidrs: Annotated[tuple[Cidr, ...], at_least(1, "network")]
    """IPv4 networks that may reach the internal load balancer: the VPC's own, a VPN's, an office's. Workers need no
    entry."""

    domain: DomainName | None = None
    """Host name of the UI, for example `airflow.example.com`. With it, the program creates an ACM certificate, HTTPS on
    443, a redirect from 8080 and the DNS record. Without it, the UI uses HTTP inside the VPC. Needs `hostedZoneId`.
    What users notice when it changes: `docs/changing-the-domain.md`."""

    hosted_zone_id: HostedZoneId | None = None
    """The public Route 53 zone that holds `domain`, in the same account; the certificate is validated and the record
    written there."""

    public: PublicWeb | None = None
    """If set, the UI is also on the internet, through a second load balancer. Needs `domain`. `{}` uses the
    defaults."""


# The widest private range, 10.0.0.0/8.
_WIDEST_INTERNAL_PREFIX = 8


def domain_and_zone(web: WebSettings) -> Iterator[Fault]:
    """`domain` and `hostedZoneId` are set together."""
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


def public_has_a_domain(web: WebSettings) -> Iterator[Fault]:
    """`public` requires `domain`: access from the internet is HTTPS only."""
    if web.public and not web.domain:
        yield Fault(
            key="airflow:web.public",
            given="public access without a domain",
            allowed="public access if airflow:web.domain and hostedZoneId are set: it is HTTPS only",
            remedy="add both, or remove public and reach the UI through a VPN",
        )


def internal_sources_are_internal(web: WebSettings) -> Iterator[Fault]:
    """Networks of the internal load balancer are /8 or narrower and can be the source of packets; the internet has no
    access to it."""
    for index, cidr in enumerate(web.allowed_cidrs):
        wide = ipaddress.IPv4Network(cidr).prefixlen < _WIDEST_INTERNAL_PREFIX
        if wide or ipv4.is_never_a_source(cidr):
            yield Fault(
                key=f"airflow:web.allowedCidrs[{index}]",
                given=shown(cidr),
                allowed=f"networks of your users: /{_WIDEST_INTERNAL_PREFIX} or narrower, such as the VPC's or a VPN's",
                remedy=f"{'list the networks' if wide else 'remove it'}; for access from the internet set "
                "airflow:web.public",
            )


def public_sources_are_public(web: WebSettings) -> Iterator[Fault]:
    """Networks of the public load balancer are public; packets from other addresses never reach it."""
    if not web.public:
        return
    for index, cidr in enumerate(web.public.allowed_cidrs):
        if not ipv4.is_on_the_internet(cidr):
            yield Fault(
                key=f"airflow:web.public.allowedCidrs[{index}]",
                given=shown(cidr),
                allowed="public networks: a client on the internet has a public address",
                remedy=f"{'remove it' if ipv4.is_never_a_source(cidr) else 'move it to airflow:web.allowedCidrs'}, or "
                "give the public address from which it reaches the internet",
            )


def internal_sources_do_not_overlap(web: WebSettings) -> Iterator[Fault]:
    """No network of `allowedCidrs` lies inside another: the narrower one would have no effect but look like a limit."""
    yield from _overlaps("airflow:web.allowedCidrs", web.allowed_cidrs)


def public_sources_do_not_overlap(web: WebSettings) -> Iterator[Fault]:
    """The same holds for `public.allowedCidrs`."""
    if web.public:
        yield from _overlaps("airflow:web.public.allowedCidrs", web.public.allowed_cidrs)


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


def sources_fit_a_security_group(web: WebSettings) -> Iterator[Fault]:
    """All allowed networks fit in a security group, which needs one rule for each network and port."""
    ports = 2 if web.domain else 1
    most = (limits.RULES_PER_SECURITY_GROUP - 1) // ports
    if len(web.allowed_cidrs) > most:
        yield Fault(
            key="airflow:web.allowedCidrs",
            given=f"{len(web.allowed_cidrs)} networks",
            allowed=f"at most {most}: a security group has {limits.RULES_PER_SECURITY_GROUP} rules, and each network "
            f"needs {ports}",
            remedy="merge neighbouring networks into wider ones",
        )
    if web.public and len(web.public.allowed_cidrs) > limits.RULES_PER_SECURITY_GROUP:
        yield Fault(
            key="airflow:web.public.allowedCidrs",
            given=f"{len(web.public.allowed_cidrs)} networks",
            allowed=f"at most {limits.RULES_PER_SECURITY_GROUP}, the rules of a security group",
            remedy="merge neighbouring networks into wider ones",
        )


RULES = (
    domain_and_zone,
    public_has_a_domain,
    internal_sources_are_internal,
    public_sources_are_public,
    internal_sources_do_not_overlap,
    public_sources_do_not_overlap,
    sources_fit_a_security_group,
)
