"""The parts of a stack and the connections between them, as its recorded resources and security groups say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from docs.drawing import Colour, Content
from engine.recording import Recording, Resource, texts
from node.roles import Role
from plan.costs import GROUP, concurrency, node_hour, template_of
from plan.effects import environment_of
from plan.resources import EGRESS, INGRESS

SUBNET = "aws:ec2/subnet:Subnet"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
DATABASE = "aws:rds/instance:Instance"
BROKER = "aws:elasticache/replicationGroup:ReplicationGroup"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
ANYWHERE = "0.0.0.0/0"

_COLOURS = {GROUP: Colour.COMPUTE, DATABASE: Colour.DATABASE, BROKER: Colour.DATABASE}


@dataclass(frozen=True, kw_only=True)
class Part:
    """The resources with the same security group: one end of connections."""

    group_id: str
    title: str
    members: Sequence[Resource]
    content: Content

    @property
    def type(self) -> str:
        return self.members[0].type


@dataclass(frozen=True, kw_only=True)
class Connection:
    """What a rule allows: TCP connections to a port of `target`. A source that is no part is a range of addresses."""

    source: Part | str
    target: Part
    port: int
    why: str

    @property
    def says(self) -> str:
        """The connection as a sentence."""
        source = self.source if isinstance(self.source, str) else self.source.title
        return f"{source} to {self.target.title}, port {self.port}: {self.why}"


class StackParts:
    """Every part of a stack, and every connection that its security groups allow."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        found = {group.id: self._part(group) for group in recording.of_type(SECURITY_GROUP)}
        self._parts = {key: part for key, part in found.items() if part is not None}
        self.connections = list(self._connections())

    def of_type(self, type_: str) -> list[Part]:
        """The parts made of such resources, those with the most connections first."""
        parts = [part for part in self._parts.values() if part.type == type_]
        return sorted(parts, key=lambda part: -sum(part in (each.source, each.target) for each in self.connections))

    def of_role(self, role: Role) -> Part:
        """The part that is made of the nodes of a role."""
        return next(each for each in self.of_type(GROUP) if self.environment(each.members[0])["NODE_ROLE"] == role)

    def port(self, source: Part, target: Part) -> int:
        """The lowest port of `target` to which `source` may connect."""
        return min(each.port for each in self.connections if (each.source, each.target) == (source, target))

    def subnets(self, tier: str) -> list[Resource]:
        """The stack's own subnets of a tier (`public`, `private`, `data`), by zone."""
        return [each for each in self.recording.of_type(SUBNET) if each.inputs["tags"]["airflow:tier"] == tier]

    def environment(self, group: Resource) -> dict[str, str]:
        """The environment of the nodes of an Auto Scaling group."""
        template = template_of(group, self.recording)
        return environment_of(template) if template else {}

    @property
    def cluster(self) -> str:
        """The name of the cluster."""
        return next(self.environment(group)["NODE_CLUSTER"] for group in self.recording.of_type(GROUP))

    @property
    def vpc(self) -> str:
        """The VPC by its range of addresses; one that the stack only uses, by its id."""
        own = [f"VPC {vpc.inputs['cidrBlock']}" for vpc in self.recording.of_type("aws:ec2/vpc:Vpc")]
        return [*own, *(f"VPC {group.inputs['vpcId']}" for group in self.recording.of_type(SECURITY_GROUP))][0]

    def secrets(self) -> Content:
        """The stack's secrets."""
        count = len(self.recording.of_type("aws:secretsmanager/secret:Secret"))
        return Content("Secrets Manager", [f"{count} secrets in {self.cluster}/"], Colour.SECURITY)

    def buckets(self) -> Content:
        """The stack's buckets, without what their names have in common."""
        shared = f"{self.cluster}-{self.recording.account_id}-{self.recording.region}-"
        buckets = self.recording.of_type("aws:s3/bucket:Bucket")
        names = ", ".join(bucket.inputs["bucket"].removeprefix(shared) for bucket in buckets)
        return Content("S3 buckets", wrap(names, width=28, break_on_hyphens=False), Colour.STORAGE)

    def nat_gateways(self) -> dict[str, list[str]]:
        """The ids of NAT gateways, by their subnet."""
        found: dict[str, list[str]] = defaultdict(list)
        for gateway in self.recording.of_type("aws:ec2/natGateway:NatGateway"):
            found[gateway.inputs["subnetId"]].append(gateway.id)
        return found

    def route_targets(self, subnet: Resource) -> list[tuple[str, str]]:
        """The subnet's routes out of the VPC: destination, and the id of the gateway."""
        tables = {
            each.inputs["routeTableId"]
            for each in self.recording.of_type("aws:ec2/routeTableAssociation:RouteTableAssociation")
            if each.inputs["subnetId"] == subnet.id
        }
        return [
            (route.inputs["destinationCidrBlock"], route.inputs.get("natGatewayId") or route.inputs["gatewayId"])
            for route in self.recording.of_type("aws:ec2/route:Route")
            if route.inputs["routeTableId"] in tables
        ]

    def has_internet_gateway(self) -> bool:
        """Whether the VPC has a route to the internet that belongs to the stack."""
        return bool(self.recording.of_type("aws:ec2/internetGateway:InternetGateway"))

    def has_gateway_endpoint(self) -> bool:
        """Whether traffic to S3 has a route of its own."""
        return any(each.inputs["vpcEndpointType"] == "Gateway" for each in self.recording.of_type(ENDPOINT))

    def _part(self, group: Resource) -> Part | None:
        members = [each for each in self.recording.resources if group.id in self._security_groups(each)]
        if not members:
            return None
        title = str(group.inputs["description"])
        lines = [line for member in members for line in self._lines(member)]
        if any(rule.inputs.get("cidrIpv4") == ANYWHERE for rule in self._egress(group)):
            lines.append("outbound: any address")
        content = Content(title, lines, _COLOURS.get(members[0].type, Colour.NETWORK))
        return Part(group_id=group.id, title=title, members=members, content=content)

    def _security_groups(self, resource: Resource) -> set[str]:
        match resource.type:
            case "aws:autoscaling/group:Group":
                template = template_of(resource, self.recording)
                return set(texts(template.inputs["networkInterfaces"])) if template else set()
            case type_ if type_ in (LOAD_BALANCER, DATABASE, BROKER, ENDPOINT):
                return set(texts(resource.inputs))
        return set()

    def _egress(self, group: Resource) -> Iterator[Resource]:
        yield from (rule for rule in self.recording.of_type(EGRESS) if rule.inputs["securityGroupId"] == group.id)

    def _connections(self) -> Iterator[Connection]:
        for rule in self.recording.of_type(INGRESS):
            inputs = rule.inputs
            peer = inputs.get("referencedSecurityGroupId")
            source, target = self._parts.get(peer) or inputs.get("cidrIpv4"), self._parts.get(inputs["securityGroupId"])
            if source and target:
                yield Connection(source=source, target=target, port=inputs["fromPort"], why=inputs["description"])

    def _lines(self, resource: Resource) -> Iterator[str]:
        """What a picture says about a resource."""
        inputs = resource.inputs
        match resource.type:
            case "aws:autoscaling/group:Group":
                yield from self._nodes(resource)
            case "aws:lb/loadBalancer:LoadBalancer":
                yield self._address(resource)
            case "aws:rds/instance:Instance":
                yield f"RDS for PostgreSQL {inputs['engineVersion']}{', Multi-AZ' if inputs['multiAz'] else ''}"
                yield f"{inputs['instanceClass']}, {inputs['allocatedStorage']} GiB"
            case "aws:elasticache/replicationGroup:ReplicationGroup":
                yield f"ElastiCache for {inputs['engine'].capitalize()} {inputs['engineVersion']}"
                yield f"{inputs['numCacheClusters']} x {inputs['nodeType']}"
            case "aws:ec2/vpcEndpoint:VpcEndpoint":
                yield inputs["serviceName"].rpartition(".")[2]

    def _nodes(self, group: Resource) -> Iterator[str]:
        instance_type, _ = node_hour(group, self.recording)
        least, most = group.inputs["minSize"], group.inputs["maxSize"]
        size = f"{most}" if least == most else f"{least} to {most}"
        environment = self.environment(group)
        pool = environment.get("NODE_POOL")
        yield f"{f'pool {pool}: ' if pool else ''}{size} x {instance_type}"
        if pool:
            queues = environment["NODE_QUEUES"].replace(",", ", ")
            yield from wrap(f"{concurrency(group, self.recording)} tasks each, queues: {queues}", width=30)
        else:
            services = ", ".join(Role(environment["NODE_ROLE"]).definition.services)
            yield from wrap(services, width=26, break_on_hyphens=False)

    def _address(self, balancer: Resource) -> str:
        """The protocols and ports of a load balancer."""
        listeners = [each for each in self.recording.of_type(LISTENER) if each.inputs["loadBalancerArn"] == balancer.id]
        return ", ".join(sorted(f"{each.inputs['protocol']} {each.inputs['port']}" for each in listeners))
