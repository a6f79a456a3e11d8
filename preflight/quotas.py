"""The service quotas that the plan's resources count against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from preflight.account import Account
from preflight.checks import Finding, passed, will_fail


@dataclass(frozen=True)
class Quota:
    """A quota by its codes in Service Quotas, with AWS's documented default, for a region where it is not listed."""

    service: str
    code: str
    what: str
    default: float


# `aws service-quotas list-aws-default-service-quotas --service-code <service>` lists codes and defaults.
ELASTIC_IPS = Quota("ec2", "L-0263D0A3", "Elastic IP addresses", 5)
LAUNCH_TEMPLATES = Quota("ec2", "L-FB451C26", "launch templates", 5_000)
VPCS = Quota("vpc", "L-F678F1CE", "VPCs", 5)
INTERNET_GATEWAYS = Quota("vpc", "L-A4707A72", "internet gateways", 5)
NAT_GATEWAYS = Quota("vpc", "L-FE5A380F", "NAT gateways in a zone", 5)
SUBNETS = Quota("vpc", "L-407747CB", "subnets in a VPC", 200)
SECURITY_GROUPS = Quota("vpc", "L-E79EC296", "security groups", 2_500)
RULES = Quota("vpc", "L-0EA8095F", "inbound or outbound rules of a security group", 60)
INTERFACE_ENDPOINTS = Quota("vpc", "L-29B6F2EB", "interface endpoints in a VPC", 50)
GATEWAY_ENDPOINTS = Quota("vpc", "L-1B52E74A", "gateway endpoints", 20)
LOAD_BALANCERS = Quota("elasticloadbalancing", "L-53DA6B97", "Application Load Balancers", 50)
TARGET_GROUPS = Quota("elasticloadbalancing", "L-B22855CB", "target groups", 3_000)
DATABASES = Quota("rds", "L-7B6409FD", "DB instances", 40)
DATABASE_STORAGE = Quota("rds", "L-7ADDB58A", "GiB of storage of all DB instances", 100_000)
CACHE_NODES = Quota("elasticache", "L-DFE45DF3", "cache nodes", 300)
SECRETS = Quota("secretsmanager", "L-2F66C23C", "secrets", 500_000)
BUCKETS = Quota("s3", "L-DC2B2D3D", "buckets", 10_000)

# Classes of instance families, by the letters with which a type's name begins; every other family counts as standard:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits
STANDARD = "standard"
CLASSES = {
    "g": "G and VT",
    "gr": "G and VT",
    "vt": "G and VT",
    "p": "P",
    "f": "F",
    "inf": "Inf",
    "x": "X",
    "trn": "Trn",
    "dl": "DL",
    "u": "high memory",
    "hpc": "HPC",
}
ON_DEMAND = {
    name: Quota("ec2", code, f"vCPUs of on-demand instances ({name})", default)
    for name, code, default in (
        (STANDARD, "L-1216C47A", 5),
        ("G and VT", "L-DB2E81BA", 0),
        ("P", "L-417A185B", 0),
        ("F", "L-74FC7D96", 0),
        ("Inf", "L-1945791B", 0),
        ("X", "L-7295265B", 0),
        ("Trn", "L-2C3B7624", 0),
        ("DL", "L-6E869C2A", 0),
        ("high memory", "L-43DA4232", 0),
        ("HPC", "L-F7808C92", 0),
    )
}
SPOT = {
    name: Quota("ec2", code, f"vCPUs of spot instances ({name})", default)
    for name, code, default in (
        (STANDARD, "L-34B43A08", 5),
        ("G and VT", "L-3819A6DF", 0),
        ("P", "L-7212CCBC", 0),
        ("F", "L-88CF9481", 0),
        ("Inf", "L-B5D1601B", 0),
        ("X", "L-E3A00192", 0),
        ("Trn", "L-6B0D517C", 0),
        ("DL", "L-85EED4F7", 0),
    )
}

_UNLISTED = ("NoSuchResourceException",)


def allowed(quota: Quota, account: Account) -> float:
    """The quota's value: as applied to the account, else AWS's default in this region, else the documented default."""
    parameters = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    for method in ("get_service_quota", "get_aws_default_service_quota"):
        answer = account.call("service-quotas", method, absent=_UNLISTED, **parameters)
        if "Value" in answer.get("Quota", {}):
            return float(answer["Quota"]["Value"])
    return quota.default


def fits(quota: Quota, account: Account, *, used: float, needed: float, where: str = "") -> Iterator[Finding]:
    """Whether the quota has room for what the plan adds to what others use; nothing if it adds nothing."""
    if needed <= 0:
        return
    limit = allowed(quota, account)
    what = f"{quota.what}{f' {where}' if where else ''}"
    counted = f"{used:,.0f} used by others, {needed:,.0f} planned, {limit:,.0f} allowed"
    if used + needed <= limit:
        yield passed(f"{what}: {counted}")
        return
    yield will_fail(
        f"{what}: {counted}. Request {used + needed:,.0f} or more: aws service-quotas request-service-quota-increase "
        f"--region {account.region} --service-code {quota.service} --quota-code {quota.code} "
        f"--desired-value {used + needed:.0f}; or plan fewer."
    )
