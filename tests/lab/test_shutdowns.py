"""What instances hold until they are off."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from moto import mock_aws

from lab.aws import autoscaling, shutdowns
from lab.aws.shutdowns import SECONDS_TO_SHUT_DOWN, Shutdowns


def test_an_instances_address_is_free_when_it_is_off():
    under_way, freed = Shutdowns(), []
    under_way.begin(0, lambda: freed.append("first"))
    under_way.begin(10, lambda: freed.append("second"))
    under_way.settle(SECONDS_TO_SHUT_DOWN - 1)
    assert freed == []
    under_way.settle(SECONDS_TO_SHUT_DOWN)
    assert freed == ["first"]
    under_way.settle(SECONDS_TO_SHUT_DOWN + 10)
    under_way.settle(SECONDS_TO_SHUT_DOWN + 10)
    assert freed == ["first", "second"]


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An account whose instances are off as soon as they are terminated, with one in a group."""
    monkeypatch.setattr(shutdowns, "SECONDS_TO_SHUT_DOWN", 0)
    for owner, name, replacement in autoscaling.REPLACED:
        monkeypatch.setattr(owner, name, replacement, raising=False)  # moto lacks some
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "testing")
    with mock_aws():
        ec2 = boto3.client("ec2", "eu-west-1")
        vpc = ec2.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.80.0.0/24")["Subnet"]["SubnetId"]
        data = {"ImageId": "ami-12c6146b", "InstanceType": "m7i.large"}
        template = ec2.create_launch_template(LaunchTemplateName="x", LaunchTemplateData=data)["LaunchTemplate"]
        boto3.client("autoscaling", "eu-west-1").create_auto_scaling_group(
            AutoScalingGroupName="pool",
            MinSize=1,
            MaxSize=1,
            VPCZoneIdentifier=subnet,
            LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": "1"},
        )
        yield ec2


@pytest.mark.parametrize("by", ["ec2", "autoscaling"])
def test_the_address_of_an_instance_that_is_off_is_used_again(ec2: Any, by: str):
    addresses = set()
    for _ in range(5):
        running = [{"Name": "instance-state-name", "Values": ["running"]}]
        [one] = [one for r in ec2.describe_instances(Filters=running)["Reservations"] for one in r["Instances"]]
        addresses.add(one["PrivateIpAddress"])
        if by == "ec2":
            ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
        else:
            boto3.client("autoscaling", "eu-west-1").terminate_instance_in_auto_scaling_group(
                InstanceId=one["InstanceId"], ShouldDecrementDesiredCapacity=False
            )
    assert len(addresses) < 3
