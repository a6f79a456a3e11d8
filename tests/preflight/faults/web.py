"""What AWS may answer about the hosted zone and the load balancers, and what the checks find in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.preflight.faults.fault import Fault, quota_of


def hosted_zone(name: str, *, private: bool = False) -> Mapping[str, Any]:
    described = {"Id": "Z1", "Name": name, "CallerReference": "x", "Config": {"PrivateZone": private}}
    return {"HostedZone": described, "DelegationSet": {"NameServers": ["ns-1.awsdns-01.org"]}}


FAULTS = [
    Fault(
        "hosted zone",
        "public",
        {"route53__GetHostedZone": "NoSuchHostedZone"},
        "will fail",
        ["Z0123456789ABCDEFGHIJ", "airflow:web.hostedZoneId"],
    ),
    Fault(
        "hosted zone",
        "public",
        {"route53__GetHostedZone": hosted_zone("ple.com.")},
        "will fail",
        ["airflow.example.com is not in"],
    ),
    Fault(
        "hosted zone",
        "public",
        {"route53__GetHostedZone": hosted_zone("example.com.", private=True)},
        "will fail",
        ["private"],
    ),
    Fault(
        "quotas: load balancers",
        "public",
        {"service_quotas__GetServiceQuota": quota_of("L-53DA6B97", 1)},
        "will fail",
        ["2 planned, 1 allowed"],
    ),
    Fault(
        "quotas: load balancers",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-B22855CB", 0)},
        "will fail",
        ["target groups"],
    ),
]
