"""The VPC: public, private and data subnets over the zones, and the routes out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.component import Component
from components.context import Context
from components.iam_documents import allow, document, on_behalf_of, trust_policy
from components.subnet_layout import zone_subnets
from settings import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    context: Context
    settings: NetworkSettings


class Network(Component):
    """A VPC in which nodes reach the internet through NAT, and the data tier has no route out.

    An existing VPC is used as it is.
    """

    vpc_id: pulumi.Input[str]
    public_subnet_ids: Sequence[pulumi.Input[str]]
    private_subnet_ids: Sequence[pulumi.Input[str]]
    data_subnet_ids: Sequence[pulumi.Input[str]]
    nat_addresses: Sequence[pulumi.Output[str]]
    """The source addresses of the nodes' traffic, for allow lists. Empty for an existing VPC."""
    nat_gateway_ids: Mapping[str, pulumi.Output[str]]
    """By zone. Empty for an existing VPC."""
    flow_log_group_name: str | None

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:network:Network", name, None, opts)
        if (existing := args.settings.existing) is not None:
            self.vpc_id = existing.vpc_id
            self.public_subnet_ids = existing.public_subnet_ids
            self.private_subnet_ids = existing.private_subnet_ids
            self.data_subnet_ids = existing.data_subnet_ids
            self.nat_addresses = ()
            self.nat_gateway_ids = {}
            self.flow_log_group_name = None
        else:
            self._own_vpc(name, args)
        self.register_outputs({"vpc_id": self.vpc_id})

    def _own_vpc(self, name: str, args: NetworkArgs) -> None:
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.settings.cidr,
            enable_dns_support=True,
            # The names of the private zone and of the interface endpoints resolve only if both are enabled.
            enable_dns_hostnames=True,
            tags={"Name": args.context.cluster},
            opts=self.child(),
        )
        # Every VPC has a default group whose members may reach each other. Nothing here uses it; without rules nothing
        # can.
        aws.ec2.DefaultSecurityGroup(f"{name}-default-security-group", vpc_id=vpc.id, opts=self.child())
        self._log_flows(name, args, vpc)
        layout = [zone_subnets(str(args.settings.cidr), zone) for zone in args.settings.zones]
        public = self._subnets(name, args, vpc, "public", {zone.zone: str(zone.public) for zone in layout})
        private = self._subnets(name, args, vpc, "private", {zone.zone: str(zone.private) for zone in layout})
        data = self._subnets(name, args, vpc, "data", {zone.zone: str(zone.data) for zone in layout})
        way_out = self._internet_route(name, args, vpc)
        gateways = self._nat_gateways(name, args, public, way_out)
        self.vpc_id = vpc.id
        self.public_subnet_ids = self._routed(name, "public", public, dict.fromkeys(public, way_out))
        self.private_subnet_ids = self._routed(
            name, "private", private, self._nat_routes(name, args, vpc, private, gateways)
        )
        self.data_subnet_ids = self._data_subnet_ids(name, args, vpc, data)
        self.nat_gateway_ids = {zone: gateway.id for zone, gateway in gateways.items()}
        self.nat_addresses = [gateway.public_ip for gateway in gateways.values()]

    def _log_flows(self, name: str, args: NetworkArgs, vpc: aws.ec2.Vpc) -> None:
        self.flow_log_group_name = f"/{args.context.cluster}/vpc-flow-logs"
        group = aws.cloudwatch.LogGroup(
            f"{name}-flow-logs",
            name=self.flow_log_group_name,
            retention_in_days=args.settings.flow_log_retention_days,
            opts=self.child(),
        )
        role = aws.iam.Role(
            f"{name}-flow-logs-role",
            description=f"Lets VPC flow logs of {args.context.cluster} write to CloudWatch",
            assume_role_policy=trust_policy(
                "vpc-flow-logs",
                condition=on_behalf_of(
                    args.context.account_id,
                    args.context.arn("ec2", "vpc-flow-log/*"),
                ),
            ),
            opts=self.child(),
        )
        policy = aws.iam.RolePolicy(
            f"{name}-flow-logs-policy",
            role=role.name,
            policy=group.arn.apply(flow_logs_policy),
            opts=self.child(),
        )
        aws.ec2.FlowLog(
            f"{name}-flow-log",
            vpc_id=vpc.id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            # Without the policy, the flow log is created but delivers nothing, which only its status shows.
            opts=self.child(depends_on=[policy]),
        )

    def _subnets(
        self, name: str, args: NetworkArgs, vpc: aws.ec2.Vpc, tier: str, cidrs: Mapping[str, str]
    ) -> Mapping[str, aws.ec2.Subnet]:
        return {
            zone: aws.ec2.Subnet(
                f"{name}-{tier}-{zone[-1]}",
                vpc_id=vpc.id,
                availability_zone=zone,
                cidr_block=cidr,
                map_public_ip_on_launch=False,
                tags={"Name": f"{args.context.cluster}-{tier}-{zone[-1]}", "airflow:tier": tier},
                opts=self.child(),
            )
            for zone, cidr in cidrs.items()
        }

    def _internet_route(self, name: str, args: NetworkArgs, vpc: aws.ec2.Vpc) -> aws.ec2.Route:
        tags = {"Name": args.context.cluster}
        gateway = aws.ec2.InternetGateway(f"{name}-internet-gateway", vpc_id=vpc.id, tags=tags, opts=self.child())
        table = self._route_table(name, args, vpc, "public")
        # A resource of its own, not a block in the table: a table with blocks deletes the routes that others add, for
        # example for a peering.
        return aws.ec2.Route(
            f"{name}-public-route",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self.child(),
        )

    def _nat_gateways(
        self, name: str, args: NetworkArgs, public: Mapping[str, aws.ec2.Subnet], way_out: aws.ec2.Route
    ) -> Mapping[str, aws.ec2.NatGateway]:
        """One gateway for each zone, or one in the first zone of the stack file for all of them."""
        zones = list(public) if args.settings.nat_gateways == "perZone" else [next(iter(public))]
        gateways = {}
        for zone in zones:
            tags = {"Name": f"{args.context.cluster}-nat-{zone[-1]}"}
            address = aws.ec2.Eip(f"{name}-nat-address-{zone[-1]}", domain="vpc", tags=tags, opts=self.child())
            gateways[zone] = aws.ec2.NatGateway(
                f"{name}-nat-{zone[-1]}",
                allocation_id=address.id,
                subnet_id=public[zone].id,
                tags=tags,
                # The creation of a NAT gateway fails if its VPC has no internet gateway yet.
                opts=self.child(depends_on=[way_out]),
            )
        return gateways

    def _nat_routes(
        self,
        name: str,
        args: NetworkArgs,
        vpc: aws.ec2.Vpc,
        subnets: Mapping[str, aws.ec2.Subnet],
        gateways: Mapping[str, aws.ec2.NatGateway],
    ) -> Mapping[str, aws.ec2.Route]:
        """A table for each zone even with a single gateway: a change to one per zone is then a changed route."""
        tables = {zone: self._route_table(name, args, vpc, f"private-{zone[-1]}") for zone in subnets}
        # Task logs, DAGs and the virtual environment are S3 traffic, and NAT charges for each GB.
        aws.ec2.VpcEndpoint(
            f"{name}-s3-endpoint",
            vpc_id=vpc.id,
            vpc_endpoint_type="Gateway",
            service_name=f"com.amazonaws.{args.context.region}.s3",
            route_table_ids=[table.id for table in tables.values()],
            tags={"Name": f"{args.context.cluster}-s3"},
            opts=self.child(),
        )
        return {
            zone: aws.ec2.Route(
                f"{name}-private-route-{zone[-1]}",
                route_table_id=table.id,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=(gateways.get(zone) or next(iter(gateways.values()))).id,
                opts=self.child(),
            )
            for zone, table in tables.items()
        }

    def _data_subnet_ids(
        self, name: str, args: NetworkArgs, vpc: aws.ec2.Vpc, subnets: Mapping[str, aws.ec2.Subnet]
    ) -> Sequence[pulumi.Output[str]]:
        """A table with the VPC's own route only: databases have no route to the internet."""
        table = self._route_table(name, args, vpc, "data")
        for zone, subnet in subnets.items():
            self._associate(name, "data", zone, subnet, table.id)
        return [subnet.id for subnet in subnets.values()]

    def _routed(
        self, name: str, tier: str, subnets: Mapping[str, aws.ec2.Subnet], routes: Mapping[str, aws.ec2.Route]
    ) -> Sequence[pulumi.Output[str]]:
        """The subnets' ids, known only once their default route exists: an earlier node could not boot."""
        ids = []
        for zone, subnet in subnets.items():
            association = self._associate(name, tier, zone, subnet, routes[zone].route_table_id)
            ids.append(pulumi.Output.all(subnet.id, association.id).apply(lambda known: str(known[0])))
        return ids

    def _route_table(self, name: str, args: NetworkArgs, vpc: aws.ec2.Vpc, purpose: str) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(
            f"{name}-{purpose}-routes",
            vpc_id=vpc.id,
            tags={"Name": f"{args.context.cluster}-{purpose}"},
            opts=self.child(),
        )

    def _associate(
        self, name: str, tier: str, zone: str, subnet: aws.ec2.Subnet, route_table_id: pulumi.Input[str]
    ) -> aws.ec2.RouteTableAssociation:
        return aws.ec2.RouteTableAssociation(
            f"{name}-{tier}-association-{zone[-1]}",
            subnet_id=subnet.id,
            route_table_id=route_table_id,
            opts=self.child(),
        )


def flow_logs_policy(log_group_arn: str) -> str:
    """The statements that allow writing to this log group only.

    Flow logs also list groups, which IAM grants for all of an account's groups or not at all.
    """
    writing = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    return json.dumps(document([allow(writing, f"{log_group_arn}:*"), allow("logs:DescribeLogGroups", "*")]))
