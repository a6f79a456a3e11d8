"""The regions of the commercial partition and the letters of their availability zones."""

from __future__ import annotations

from collections.abc import Mapping

# https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html and
# https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html.
# The same letter can mean another data center in another account, and older accounts have letters that new ones lack
# (ap-northeast-1b, us-west-1a). The table has the letters of all accounts. Local and Wavelength Zones are left out:
# RDS and ElastiCache do not run in them. China and GovCloud are partitions of their own, with other ARNs.
ZONE_LETTERS: Mapping[str, str] = {
    "af-south-1": "abc",
    "ap-east-1": "abc",
    "ap-east-2": "abc",
    "ap-northeast-1": "abcd",
    "ap-northeast-2": "abcd",
    "ap-northeast-3": "abc",
    "ap-south-1": "abc",
    "ap-south-2": "abc",
    "ap-southeast-1": "abc",
    "ap-southeast-2": "abc",
    "ap-southeast-3": "abc",
    "ap-southeast-4": "abc",
    "ap-southeast-5": "abc",
    "ap-southeast-6": "abc",
    "ap-southeast-7": "abc",
    "ca-central-1": "abd",
    "ca-west-1": "abc",
    "eu-central-1": "abc",
    "eu-central-2": "abc",
    "eu-north-1": "abc",
    "eu-south-1": "abc",
    "eu-south-2": "abc",
    "eu-west-1": "abc",
    "eu-west-2": "abc",
    "eu-west-3": "abc",
    "il-central-1": "abc",
    "me-central-1": "abc",
    "me-south-1": "abc",
    "mx-central-1": "abc",
    "sa-east-1": "abc",
    "us-east-1": "abcdef",
    "us-east-2": "abc",
    "us-west-1": "abc",
    "us-west-2": "abcd",
}


def zones(region: str) -> tuple[str, ...]:
    """The availability zones of a region that is in the table, for example `eu-west-1a`."""
    return tuple(f"{region}{letter}" for letter in ZONE_LETTERS[region])


# The other partitions, by the prefix of their regions' names
# (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html).
_PARTITIONS: Mapping[str, str] = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
    "us-iso-": "aws-iso",
    "eu-isoe-": "aws-iso-e",
    "eusc-": "aws-eusc",
}
COMMERCIAL_REGIONS_NEARBY: Mapping[str, str] = {
    "aws-cn": "ap-east-1",
    "aws-us-gov": "us-east-1",
    "aws-iso": "us-east-1",
    "aws-iso-b": "us-east-1",
    "aws-iso-f": "us-east-1",
    "aws-iso-e": "eu-west-2",
    "aws-eusc": "eu-central-1",
}
"""For each other partition, a nearby region in the commercial partition."""


def partition(region: str) -> str:
    """The partition of a region: `aws`, unless its name has the prefix of another partition."""
    return next((found for start, found in _PARTITIONS.items() if region.startswith(start)), "aws")
