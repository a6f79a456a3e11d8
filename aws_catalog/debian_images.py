"""The public Systems Manager parameters that hold the ids of Debian's AMIs."""

from __future__ import annotations

from aws_catalog.instance_types import Architecture

IMAGE_OWNER = "136693071363"
"""Debian's AWS account, which owns its images: https://wiki.debian.org/Cloud/AmazonEC2Image/Trixie"""


def latest_image_parameter(architecture: Architecture) -> str:
    """The parameter with the newest Debian 13 AMI, in each region where Debian publishes one.

    https://wiki.debian.org/Cloud/AmazonEC2Image/Trixie
    """
    return f"/aws/service/debian/release/13/latest/{architecture}"
