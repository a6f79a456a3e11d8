"""What AWS may answer about zones, networks and endpoints, and what the checks find in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.preflight.faults.fault import Fault, quota_of
from tests.preflight.recorded_aws import ZONES


def zones_with(name: str, **state: str) -> Mapping[str, Any]:
    """The region's zones, one of them in another state."""
    found = [{"ZoneName": zone, "State": "available", "OptInStatus": "opt-in-not-required"} for zone in ZONES]
    return {"AvailabilityZones": [{**zone, **state} if zone["ZoneName"] == name else zone for zone in found]}


FAULTS = [
    Fault(
        "zones",
        "prod",
        {"ec2__DescribeAvailabilityZones": zones_with("eu-west-1c", State="impaired")},
        "will fail",
        ["eu-west-1c", "eu-west-1a, eu-west-1b"],
    ),
    Fault(
        "zones",
        "prod",
        {"ec2__DescribeAvailabilityZones": zones_with("eu-west-1c", OptInStatus="not-opted-in")},
        "will fail",
        ["eu-west-1c"],
    ),
    Fault(
        "existing network",
        "existing-vpc",
        {"ec2__DescribeSubnets": {"Subnets": []}},
        "will fail",
        ["subnet-0a1b2c3d4e5f60718", "airflow:network.existing"],
    ),
    Fault(
        "quotas: network",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-0263D0A3", 2)},
        "will fail",
        ["Elastic IP addresses: 0 used by others, 3 planned, 2 allowed"],
    ),
    Fault(
        "quotas: network",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-FE5A380F", 0)},
        "will fail",
        ["NAT gateways in a zone eu-west-1b"],
    ),
    Fault(
        "quotas: network", "prod", {"service_quotas__GetServiceQuota": quota_of("L-F678F1CE", 0)}, "will fail", ["VPCs"]
    ),
    Fault(
        "quotas: network",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-0EA8095F", 1)},
        "will fail",
        ["rules of a security group"],
    ),
    Fault(
        "quotas: network",
        "endpoints",
        {"service_quotas__GetServiceQuota": quota_of("L-29B6F2EB", 1)},
        "will fail",
        ["interface endpoints"],
    ),
    Fault(
        "endpoint services",
        "endpoints",
        {"ec2__DescribeVpcEndpointServices": {"ServiceDetails": []}},
        "will fail",
        ["com.amazonaws.eu-west-1.secretsmanager", "interfaceEndpoints"],
    ),
    Fault(
        "endpoint services",
        "endpoints",
        {
            "ec2__DescribeVpcEndpointServices": lambda given: {
                "ServiceDetails": [
                    {"ServiceName": name, "AvailabilityZones": list(ZONES[:2])}
                    for name in given["Filters"][0]["Values"]
                ]
            }
        },
        "will fail",
        ["eu-west-1c"],
    ),
]
