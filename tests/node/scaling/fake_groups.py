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


def add_ending(aws: boto3.Session, name: str, count: int) -> list[str]:
    """More instances that the group lists, but counts neither as in service nor in its desired capacity."""
    client, before = aws.client("autoscaling"), set(instances(aws, name))
    client.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=desired(aws, name) + count)
    added = sorted(set(instances(aws, name)) - before)
    # moto has no terminating hooks. What it does have is this, which looks the same in the group's description.
    client.enter_standby(InstanceIds=added, AutoScalingGroupName=name, ShouldDecrementDesiredCapacity=True)
    return added


def _group(aws: boto3.Session, name: str) -> Any:
    (group,) = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return group
