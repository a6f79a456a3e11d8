"""What AWS may answer about images, volumes, types and sizes of nodes, and what the checks find in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.preflight.faults.fault import OUR_KEY, Fault, quota_of
from tests.preflight.recorded_aws import IMAGE, KEY, ZONES, image

SCALING_ROLE = "arn:aws:iam::111122223333:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"


def offerings(*lacking: tuple[str, str]) -> Callable[[Mapping[str, Any]], Any]:
    """Every type in every zone but these."""
    return lambda given: {
        "InstanceTypeOfferings": [
            {"InstanceType": name, "Location": zone}
            for name in given["Filters"][0]["Values"]
            for zone in ZONES
            if (name, zone) not in lacking
        ]
    }


FAULTS = [
    Fault("node images", "spot", {"ec2__DescribeImages": {"Images": []}}, "will fail", [IMAGE, "make node-image"]),
    Fault(
        "node images",
        "prod",
        {"ssm__GetParameters": {"Parameters": []}, "ec2__DescribeImages": {"Images": []}},
        "will fail",
        ["/aws/service/debian/release/13/latest/amd64"],
    ),
    Fault(
        "node images", "prod", {"ec2__DescribeImages": image(State="deregistered")}, "will fail", ["is deregistered"]
    ),
    Fault(
        "node images",
        "prod",
        {"ec2__DescribeImages": image(Architecture="arm64")},
        "will fail",
        ["is for arm64", "m7i.large"],
    ),
    Fault(
        "node images",
        "prod",
        {"ec2__DescribeImages": image(RootDeviceName="/dev/sda1")},
        "will fail",
        ["/dev/sda1", "/dev/xvda"],
    ),
    Fault(
        "node images",
        "prod",
        {"ec2__DescribeImages": image(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 80}}])},
        "will fail",
        ["80 GiB", "rootVolumeGib"],
    ),
    Fault(
        "node images",
        "prod",
        {"ec2__DescribeImages": image(DeprecationTime="2026-01-02T00:00:00.000Z")},
        "pass",
        ["deprecated since 2026-01-02"],
    ),
    Fault(
        "key for EBS volumes",
        "prod",
        {"ec2__GetEbsDefaultKmsKeyId": {"KmsKeyId": KEY}, "kms__DescribeKey": {"KeyMetadata": OUR_KEY}},
        "will fail",
        [KEY, "AWSServiceRoleForAutoScaling", "grant"],
    ),
    Fault(
        "key for EBS volumes",
        "prod",
        {"kms__DescribeKey": {"KeyMetadata": {**OUR_KEY, "KeyState": "PendingDeletion"}}},
        "will fail",
        ["PendingDeletion"],
    ),
    Fault(
        "key for EBS volumes",
        "prod",
        {"ec2__GetEbsDefaultKmsKeyId": {"KmsKeyId": KEY}, "kms__DescribeKey": "NotFoundException"},
        "will fail",
        ["does not exist"],
    ),
    Fault(
        "key for EBS volumes", "prod", {"kms__DescribeKey": "NotFoundException"}, "pass", ["created by the first use"]
    ),
    Fault(
        "key for EBS volumes",
        "prod",
        {
            "kms__DescribeKey": {"KeyMetadata": OUR_KEY},
            "kms__ListGrants": {"Grants": [{"GranteePrincipal": SCALING_ROLE}]},
        },
        "pass",
        ["admits"],
    ),
    Fault(
        "key for EBS volumes",
        "prod",
        {"kms__DescribeKey": {"KeyMetadata": OUR_KEY}, "kms__GetKeyPolicy": {"Policy": SCALING_ROLE}},
        "pass",
        ["admits"],
    ),
    Fault(
        "instance types",
        "prod",
        {"ec2__DescribeInstanceTypeOfferings": offerings(("m7i.large", "eu-west-1c"))},
        "will fail",
        ["airflow-prod-masters", "eu-west-1c"],
    ),
    Fault(
        "instance types",
        "prod",
        {"ec2__DescribeInstanceTypeOfferings": offerings(("m7a.xlarge", "eu-west-1c"))},
        "pass",
        ["m7a.xlarge not in eu-west-1c"],
    ),
    Fault(
        "quotas: vCPUs",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-1216C47A", 32)},
        "will fail",
        ["0 used by others, 54 planned, 32 allowed", "--quota-code L-1216C47A --desired-value 54"],
    ),
    Fault(
        "quotas: vCPUs",
        "spot",
        {"service_quotas__GetServiceQuota": quota_of("L-34B43A08", 5)},
        "will fail",
        ["vCPUs of spot instances (standard)", "16 planned"],
    ),
    Fault(
        "quotas: launch templates",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-FB451C26", 2)},
        "will fail",
        ["launch templates"],
    ),
]
