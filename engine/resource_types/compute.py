"""EC2, Auto Scaling and IAM: launch templates, volumes, groups and their lifecycle hooks, the roles of nodes."""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import EngineRefusalError
from engine.recording import Registration
from engine.resource_types import fake_ids
from engine.resource_types.definition import MockOutputs, ResourceType, Safeguard
from engine.resource_types.fake_ids import arn, name, text

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_INLINE_POLICY_SIZE = 10_240
_CREATED = "2026-01-01T00:00:00Z"


def _launch_template(registration: Registration) -> MockOutputs:
    id_ = fake_ids.ec2("lt", registration.urn)
    return MockOutputs(
        id=id_,
        outputs={
            "arn": arn(registration, "ec2", f"launch-template/{id_}"),
            "latestVersion": 1,
            "defaultVersion": 1,
        },
        planned={"name": name(registration, longest=128)},
    )


def _volume(registration: Registration) -> MockOutputs:
    id_ = fake_ids.ec2("vol", registration.urn)
    return MockOutputs(id=id_, outputs={"arn": arn(registration, "ec2", f"volume/{id_}"), "createTime": _CREATED})


def _group(registration: Registration) -> MockOutputs:
    called = name(registration)
    group = f"autoScalingGroup:{fake_ids.uuid4(registration.urn)}:autoScalingGroupName/{called}"
    service_role = "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    return MockOutputs(
        id=called,
        outputs={
            "arn": arn(registration, "autoscaling", group),
            "serviceLinkedRoleArn": arn(registration, "iam", service_role, regional=False),
            "desiredCapacity": registration.inputs.get("desiredCapacity", registration.inputs.get("minSize")),
        },
        planned={"name": called},
    )


def _attachment(registration: Registration) -> MockOutputs:
    group = text(registration, "autoscalingGroupName")
    return MockOutputs(id=f"{group}-{fake_ids.hexadecimal(registration.urn, 26)}")


def _lifecycle_hook(registration: Registration) -> MockOutputs:
    called = name(registration)
    return MockOutputs(id=called, planned={"name": called})


def _iam_entity(kind: str, id_prefix: str, *, longest: int) -> Callable[[Registration], MockOutputs]:
    """The outputs of an IAM entity that has a path: a role or an instance profile."""

    def outputs(registration: Registration) -> MockOutputs:
        called = name(registration, longest=longest)
        path = registration.inputs.get("path", "/")
        return MockOutputs(
            id=called,
            outputs={
                "arn": arn(registration, "iam", f"{kind}{path}{called}", regional=False),
                "uniqueId": fake_ids.iam(id_prefix, registration.urn),
                "createDate": _CREATED,
            },
            planned={"name": called},
        )

    return outputs


def _role_policy(registration: Registration) -> MockOutputs:
    called = name(registration, longest=128)
    if (size := len("".join(text(registration, "policy").split()))) > _INLINE_POLICY_SIZE:
        raise EngineRefusalError(
            f"{registration.type} {registration.name!r} has {size:,} characters; IAM allows "
            f"{_INLINE_POLICY_SIZE:,} for all inline policies of a role together, not counting white space"
        )
    return MockOutputs(id=f"{text(registration, 'role')}:{called}", planned={"name": called})


def _role_policy_attachment(registration: Registration) -> MockOutputs:
    return MockOutputs(id=f"{text(registration, 'role')}/{text(registration, 'policyArn')}")


TYPES = {
    "aws:ec2/launchTemplate:LaunchTemplate": ResourceType(
        mock=_launch_template,
        name_input="name",
        replaced_by=frozenset({"name", "namePrefix"}),
        sets=frozenset({"networkInterfaces.securityGroups", "vpcSecurityGroupIds"}),
        renewed_by_update="latestVersion",
        safeguards=(
            Safeguard(
                input="metadataOptions.httpTokens",
                safe=("required",),
                unsafe=("optional", None),
                risk="exposes the role's credentials to anybody who can make a node fetch a URL (IMDSv1)",
            ),
        ),
        highlights=(
            "imageId",
            "instanceType",
            "metadataOptions.httpTokens",
            "blockDeviceMappings.ebs.volumeSize",
            "blockDeviceMappings.ebs.encrypted",
            "userData",
        ),
    ),
    "aws:ebs/volume:Volume": ResourceType(
        mock=_volume,
        replaced_by=frozenset(
            {"availabilityZone", "encrypted", "kmsKeyId", "multiAttachEnabled", "outpostArn", "snapshotId"}
        ),
        stateful=True,
        safeguards=(Safeguard(input="encrypted", safe=(True,), unsafe=(False, None), risk="is not encrypted"),),
        highlights=("availabilityZone", "size", "type", "encrypted"),
    ),
    "aws:autoscaling/group:Group": ResourceType(
        mock=_group,
        name_input="name",
        replaced_by=frozenset({"name", "namePrefix", "initialLifecycleHooks"}),
        sets=frozenset(
            {
                "enabledMetrics",
                "initialLifecycleHooks",
                "suspendedProcesses",
                "tags",
                "targetGroupArns",
                "vpcZoneIdentifiers",
            }
        ),
        highlights=(
            "minSize",
            "maxSize",
            "healthCheckType",
            "healthCheckGracePeriod",
            "capacityRebalance",
            "mixedInstancesPolicy.instancesDistribution.onDemandBaseCapacity",
            "mixedInstancesPolicy.instancesDistribution.onDemandPercentageAboveBaseCapacity",
            "mixedInstancesPolicy.launchTemplate.overrides.instanceType",
            "instanceLifecyclePolicy.retentionTriggers.terminateHookAbandon",
        ),
    ),
    "aws:autoscaling/attachment:Attachment": ResourceType(
        mock=_attachment,
        unique_by=("autoscalingGroupName", "lbTargetGroupArn"),
        replaced_by=frozenset({"autoscalingGroupName", "elb", "lbTargetGroupArn"}),
        highlights=("autoscalingGroupName", "lbTargetGroupArn"),
    ),
    "aws:autoscaling/lifecycleHook:LifecycleHook": ResourceType(
        mock=_lifecycle_hook,
        name_input="name",
        unique_by=("autoscalingGroupName", "name"),
        replaced_by=frozenset({"name"}),
        highlights=("name", "heartbeatTimeout", "defaultResult"),
    ),
    "aws:iam/role:Role": ResourceType(
        mock=_iam_entity("role", "AROA", longest=64),
        name_input="name",
        replaced_by=frozenset({"name", "namePrefix", "path"}),
        sets=frozenset({"managedPolicyArns"}),
        highlights=("name", "assumeRolePolicy"),
    ),
    "aws:iam/instanceProfile:InstanceProfile": ResourceType(
        mock=_iam_entity("instance-profile", "AIPA", longest=128),
        name_input="name",
        replaced_by=frozenset({"name", "namePrefix", "path"}),
        highlights=("role",),
    ),
    "aws:iam/rolePolicy:RolePolicy": ResourceType(
        mock=_role_policy,
        name_input="name",
        unique_by=("role", "name"),
        replaced_by=frozenset({"name", "namePrefix", "role"}),
        highlights=("policy",),
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ResourceType(
        mock=_role_policy_attachment,
        unique_by=("role", "policyArn"),
        replaced_by=frozenset({"policyArn", "role"}),
        highlights=("policyArn",),
    ),
}
