"""Security groups, with one table of the connections that are allowed between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.component import Component
from components.context import Context
from node.naming import API_SERVER_PORT, METRICS_PORT
from settings import WebSettings

HTTPS = 443


@dataclass(frozen=True)
class Row:
    """`source` may open TCP connections to `port` of `target`, in a stack that has the part `only_with`."""

    source: str
    target: str
    port: int
    why: str
    only_with: str | None = None


TABLE = (
    Row("workers", "internal-web", API_SERVER_PORT, "Execution API: tasks report to the api-servers"),
    Row("internal-web", "masters", API_SERVER_PORT, "Requests and health checks of the internal load balancer"),
    Row("public-web", "masters", API_SERVER_PORT, "Requests and health checks of the public load balancer"),
    Row("masters", "workers", 8793, "Live logs of running tasks"),
    Row("masters", "masters", 8794, "Live logs of deferred tasks"),
    Row("masters", "database", 5432, "Airflow metadata"),
    Row("workers", "database", 5432, "Celery results"),
    Row("masters", "broker", 6379, "Celery messages and rate limits"),
    Row("workers", "broker", 6379, "Celery messages"),
    Row("masters", "endpoints", HTTPS, "AWS APIs"),
    Row("workers", "endpoints", HTTPS, "AWS APIs"),
    Row("masters", "internal-web", METRICS_PORT, "Metrics", only_with="monitor"),
    Row("workers", "internal-web", METRICS_PORT, "Metrics", only_with="monitor"),
    Row("internal-web", "monitor", METRICS_PORT, "Metrics and health checks of the internal load balancer"),
    Row("monitor", "endpoints", HTTPS, "AWS APIs"),
)
"""Everything that is allowed between the parts of the cluster. Only people's access is by addresses instead of groups:
those of the settings `web.allowedCidrs` and `web.public.allowedCidrs`."""

OPEN_EGRESS = {
    "masters": "DAG bundles, package indexes, mail, connections tested from the UI",
    "workers": "Tasks call whatever systems their authors work with",
    "monitor": "Debian's mirror, AWS APIs, where alerts are sent",
}
"""Groups that may connect to any address, with the reason. Scanners report it (CKV_AWS_382); a list of addresses would
have to name every system that a DAG may ever use. All other groups may only connect to what the table allows."""

DESCRIPTIONS = {
    "masters": "Airflow masters",
    "workers": "Airflow workers of all pools",
    "database": "Metadata database",
    "broker": "Celery broker",
    "internal-web": "Internal load balancer",
    "public-web": "Internet-facing load balancer",
    "endpoints": "Interface endpoints of AWS services",
    "monitor": "Airflow monitor",
}


@dataclass(frozen=True, kw_only=True)
class SecurityGroupsArgs:
    context: Context
    vpc_id: pulumi.Input[str]
    web: WebSettings
    with_endpoints: bool
    with_monitor: bool = False


class SecurityGroups(Component):
    """A security group for each part of the cluster, with exactly the rules of the table."""

    masters: pulumi.Output[str]
    workers: pulumi.Output[str]
    database: pulumi.Output[str]
    broker: pulumi.Output[str]
    internal_web: pulumi.Output[str]
    public_web: pulumi.Output[str] | None
    """None when the stack has no public access."""
    endpoints: pulumi.Output[str] | None
    """None when the stack has no interface endpoints."""
    monitor: pulumi.Output[str] | None
    """None when the stack has no monitor."""

    def __init__(self, name: str, args: SecurityGroupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:network:NetworkAccess", name, None, opts)
        self._groups = {part: self._group(name, args, part) for part in _parts(args)}
        for row in TABLE:
            if {row.source, row.target, row.only_with or row.source} <= self._groups.keys():
                self._allow(name, row)
        for part, why in OPEN_EGRESS.items():
            if part in self._groups:
                self._allow_everything_out(name, part, why)
        for part, cidr, port in _public_entries(args.web):
            self._allow_addresses(name, part, cidr, port)
        self.masters = self._groups["masters"].id
        self.workers = self._groups["workers"].id
        self.database = self._groups["database"].id
        self.broker = self._groups["broker"].id
        self.internal_web = self._groups["internal-web"].id
        self.public_web = self._id_of("public-web")
        self.endpoints = self._id_of("endpoints")
        self.monitor = self._id_of("monitor")
        self.register_outputs({"masters": self.masters, "workers": self.workers})

    def _id_of(self, part: str) -> pulumi.Output[str] | None:
        group = self._groups.get(part)
        return None if group is None else group.id

    def _group(self, name: str, args: SecurityGroupsArgs, part: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            f"{name}-{part}",
            # AWS cannot change a group's description: another text here replaces the group.
            description=DESCRIPTIONS[part],
            vpc_id=args.vpc_id,
            tags={"Name": f"{args.context.cluster}-{part}"},
            opts=self.child(),
        )

    def _allow(self, name: str, row: Row) -> None:
        source, target = self._groups[row.source], self._groups[row.target]
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-{row.target}-from-{row.source}-{row.port}",
            security_group_id=target.id,
            referenced_security_group_id=source.id,
            ip_protocol="tcp",
            from_port=row.port,
            to_port=row.port,
            description=row.why,
            opts=self.child(),
        )
        if row.source not in OPEN_EGRESS:
            aws.vpc.SecurityGroupEgressRule(
                f"{name}-{row.source}-to-{row.target}-{row.port}",
                security_group_id=source.id,
                referenced_security_group_id=target.id,
                ip_protocol="tcp",
                from_port=row.port,
                to_port=row.port,
                description=row.why,
                opts=self.child(),
            )

    def _allow_everything_out(self, name: str, part: str, why: str) -> None:
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-{part}-to-anywhere",
            security_group_id=self._groups[part].id,
            cidr_ipv4="0.0.0.0/0",
            ip_protocol="-1",
            description=why,
            opts=self.child(),
        )

    def _allow_addresses(self, name: str, part: str, cidr: str, port: int) -> None:
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-{part}-from-{cidr.replace('/', '-')}-{port}",
            security_group_id=self._groups[part].id,
            cidr_ipv4=cidr,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description="People, from the addresses of the stack file",
            opts=self.child(),
        )


def _parts(args: SecurityGroupsArgs) -> Sequence[str]:
    absent = set()
    if args.web.public is None:
        absent.add("public-web")
    if not args.with_endpoints:
        absent.add("endpoints")
    if not args.with_monitor:
        absent.add("monitor")
    return [part for part in DESCRIPTIONS if part not in absent]


def _public_entries(web: WebSettings) -> Iterator[tuple[str, str, int]]:
    """(group, address range, port) for each access from outside the cluster."""
    for cidr in web.allowed_cidrs:
        # With a domain 8080 stays open, to redirect people who use the old address to HTTPS.
        yield "internal-web", cidr, API_SERVER_PORT
        if web.domain is not None:
            yield "internal-web", cidr, HTTPS
    if web.public is not None:
        for cidr in web.public.allowed_cidrs:
            yield "public-web", cidr, HTTPS
