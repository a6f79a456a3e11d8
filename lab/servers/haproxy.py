"""Elastic Load Balancing, and the TLS front of all AWS APIs: every name under amazonaws.com leads to HAProxy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.recording import Recording
from lab import load_balancer
from lab.addresses import LOAD_BALANCER, AddressPlan
from lab.progress import LabError
from lab.servers import moto
from lab.servers.server import Endpoint, Server, Site
from lab.target_groups import TargetGroups

CERTIFICATE = "aws:acm/certificate:Certificate"
RECORD = "aws:route53/record:Record"
HOME = "/etc/lab-haproxy"
CONTROL = "/run/lab-haproxy.sock"
DOMAIN_CERTIFICATE = f"{HOME}/domain.pem"


class HAProxy(Server):
    """The load balancers' and the APIs' server."""

    name = "haproxy"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.target_groups = TargetGroups(site.namespace.view(Path(f"{site.root.path}{CONTROL}")))

    def endpoints(self) -> Sequence[Endpoint]:
        return [Endpoint(address=self.site.plan.aws), *load_balancers(self.site.recording, self.site.plan)]

    def install(self) -> None:
        root, issue, plan = self.site.root, self.site.authority.issue, self.site.plan
        root.write(f"{HOME}/aws.pem", "".join(issue(aws_names(self.site.region), [plan.aws])))
        if domains := [each.inputs["domainName"] for each in self.site.recording.of_type(CERTIFICATE)]:
            root.write(DOMAIN_CERTIFICATE, "".join(issue(domains)))
        root.write(f"{HOME}/haproxy.cfg", configuration(self.site.recording, plan))

    def command(self) -> Sequence[str | Path]:
        return self.site.root.command("root", "haproxy", "-db", "-f", f"{HOME}/haproxy.cfg")

    def check(self) -> None:
        try:
            self.target_groups.listing()
        except OSError as failure:
            raise LabError(f"{failure}: {CONTROL}") from failure


def load_balancers(recording: Recording, plan: AddressPlan) -> list[Endpoint]:
    """The program's load balancers, each with its own DNS name and the program's aliases of it."""
    aliases = [
        (alias["name"], record.outputs["fqdn"])
        for record in recording.of_type(RECORD)
        for alias in record.inputs.get("aliases", [])
    ]
    return [
        Endpoint(
            address=plan.load_balancers[balancer.outputs["arn"]],
            names=(own := balancer.outputs["dnsName"], *(alias for name, alias in aliases if name == own)),
            security_groups=tuple(balancer.inputs["securityGroups"]),
        )
        for balancer in recording.of_type(LOAD_BALANCER)
    ]


def configuration(recording: Recording, plan: AddressPlan) -> str:
    """The whole configuration file."""
    lines = [
        *("global", f"  stats socket {CONTROL} level admin", "  log stdout format raw daemon", "  maxconn 4000"),
        *("defaults", "  mode http", "  log global", "  option httplog", "  timeout connect 5s"),
        *("  timeout client 60s", "  timeout server 60s"),
        *_aws_front(plan),
        *load_balancer.sections(recording, plan, certificate=DOMAIN_CERTIFICATE),
    ]
    return "\n".join(lines) + "\n"


def aws_names(region: str) -> list[str]:
    """The names in the certificate of the TLS front; a `*` stands for one label."""
    zones = ("amazonaws.com", f"{region}.amazonaws.com", f"s3.{region}.amazonaws.com", "s3.amazonaws.com")
    return [f"*.{zone}" for zone in zones]


def _aws_front(plan: AddressPlan) -> list[str]:
    return [
        "frontend aws",
        f"  bind {plan.aws}:443 ssl crt {HOME}/aws.pem",
        f"  bind {plan.aws}:80",  # S3 has plain HTTP too, and the bucket policies must refuse it
        "  http-request deny if { path_beg /moto-api }",  # moto's own API is not part of AWS
        "  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]",
        f"  http-request set-header {moto.TLS_VERSION_HEADER} %[ssl_fc_protocol]",
        "  default_backend moto",
        "backend moto",
        f"  server moto {moto.ADDRESS}:{moto.PORT}",
    ]
