"""The IAM actions in the program's policies, and the resource types that each of them supports.

A statement allows nothing if its action does not support the type of its resources, and IAM does not report this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Resource type -> pattern of its ARNs. "Resource types defined by ..." on the pages below. An ARN in a policy may end
# in `*`, and has `*` instead of the id that Auto Scaling puts before a group's name.
_ARNS: Mapping[str, str] = {
    "autoScalingGroup": r"arn:aws:autoscaling:[^:]+:\d{12}:autoScalingGroup:[^:]+:autoScalingGroupName/.+",
    "instance": r"arn:aws:ec2:[^:]+:\d{12}:instance/.+",
    "volume": r"arn:aws:ec2:[^:]+:\d{12}:volume/vol-.+",
    "key": r"arn:aws:kms:[^:]+:\d{12}:key/.+",
    "bucket": r"arn:aws:s3:::[^/]+",
    "object": r"arn:aws:s3:::[^/]+/.+",
    "log-group": r"arn:aws:logs:[^:]+:\d{12}:log-group:[^:]+(:\*)?",
    "log-stream": r"arn:aws:logs:[^:]+:\d{12}:log-group:[^:]+:(\*|log-stream:.+)",
    "secret": r"arn:aws:secretsmanager:[^:]+:\d{12}:secret:.+",
    "topic": r"arn:aws:sns:[^:]+:\d{12}:[\w-]+",
}

# Action -> the resource types it supports; none if it can only be allowed on `*`. "Actions defined by ...":
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
RESOURCE_TYPES: Mapping[str, tuple[str, ...]] = {
    "autoscaling:CompleteLifecycleAction": ("autoScalingGroup",),
    "autoscaling:DescribeAutoScalingGroups": (),
    "autoscaling:DescribeScalingActivities": (),
    "autoscaling:RecordLifecycleActionHeartbeat": ("autoScalingGroup",),
    "autoscaling:SetDesiredCapacity": ("autoScalingGroup",),
    "autoscaling:SetInstanceHealth": ("autoScalingGroup",),
    "autoscaling:TerminateInstanceInAutoScalingGroup": ("autoScalingGroup",),
    "ec2:AttachVolume": ("instance", "volume"),
    "ec2:DescribeVolumes": (),
    "kms:Decrypt": ("key",),
    "kms:GenerateDataKey": ("key",),
    "logs:CreateLogStream": ("log-stream",),
    "logs:DescribeLogGroups": (),
    "logs:DescribeLogStreams": ("log-group",),
    "logs:PutLogEvents": ("log-stream",),
    "s3:GetObject": ("object",),
    "s3:ListBucket": ("bucket",),
    "s3:PutObject": ("object",),
    "secretsmanager:GetSecretValue": ("secret",),
    "sns:Publish": ("topic",),
}


def supports(action: str, resource: str) -> bool:
    """Whether an action can be allowed on a resource: an ARN, which may contain `*`, or just `*`.

    Raises KeyError for an action that is not in the table.
    """
    kinds = RESOURCE_TYPES[action]
    if not kinds or resource == "*":
        return not kinds and resource == "*"
    return any(re.fullmatch(_ARNS[kind], resource) for kind in kinds)
