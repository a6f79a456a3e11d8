"""Interface endpoints: AWS services are reached inside the VPC instead of through NAT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.component import Component
from components.context import Context


@dataclass(frozen=True, kw_only=True)
class VpcEndpointsArgs:
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    context: Context
    services: Sequence[str]
    """Names as in the services' addresses: `secretsmanager`, `ssm`, `logs`."""


class VpcEndpoints(Component):
    """One endpoint for each service, under the service's usual host name: clients need no configuration."""

    def __init__(self, name: str, args: VpcEndpointsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:network:PrivateEndpoints", name, None, opts)
        for service in args.services:
            aws.ec2.VpcEndpoint(
                f"{name}-{service}",
                vpc_id=args.vpc_id,
                vpc_endpoint_type="Interface",
                service_name=f"com.amazonaws.{args.context.region}.{service}",
                subnet_ids=args.subnet_ids,
                security_group_ids=[args.security_group_id],
                private_dns_enabled=True,
                opts=self.child(),
            )
        self.register_outputs({})
