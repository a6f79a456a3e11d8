"""Worker pools' groups in moto's Auto Scaling."""

from __future__ import annotations

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
    (group,) = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return group["DesiredCapacity"]
