"""Worker pools' groups in moto's Auto Scaling."""

from __future__ import annotations

from typing import Any

import boto3

ZONE = "eu-west-1a"


def create(aws: boto3.Session, name: str, *, minimum: int, maximum: int, desired: int) -> None:
    """A group whose instances are in service at once."""
    client = aws.client("autoscaling")
    if not client.describe_launch_configurations()["LaunchConfigurations"]:
        client.create_launch_configuration(
            LaunchConfigurationName="workers", ImageId="ami-12345678", InstanceType="m7i.large"
        )
    client.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchConfigurationName="workers",
        MinSize=minimum,
        MaxSize=maximum,
        DesiredCapacity=desired,
        AvailabilityZones=[ZONE],
    )


def desired(aws: boto3.Session, name: str) -> int:
    """The group's desired capacity."""
    return _group(aws, name)["DesiredCapacity"]


def instances(aws: boto3.Session, name: str) -> list[str]:
    """The group's instances."""
    return [instance["InstanceId"] for instance in _group(aws, name)["Instances"]]


def _group(aws: boto3.Session, name: str) -> Any:
    (group,) = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return group
