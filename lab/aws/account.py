"""The program's resources in the AWS account: created in moto from exactly the recorded inputs."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.recording import Recording, Resource
from lab.addresses import SUBNET, VPC

Client = Callable[[str], Any]
"""Makes a boto3 client of the account for a service."""

OPERATOR = "lab-operator"
"""The user as whom the operator acts, and the lab in the roles of EC2 and Auto Scaling."""

GROUP = "aws:autoscaling/group:Group"
HOOK = "aws:autoscaling/lifecycleHook:LifecycleHook"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
BUCKET_OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
VOLUME = "aws:ebs/volume:Volume"
DATABASE = "aws:rds/instance:Instance"
HOOK_PROPERTIES = ("lifecycleTransition", "heartbeatTimeout", "defaultResult")


@dataclass(frozen=True, kw_only=True)
class AccessKey:
    """A user's key."""

    id: str
    secret: str


def secret_arns(recording: Recording) -> dict[str, str]:
    """The ARN of every secret by its name, including the one that RDS makes for its admin."""
    arns = [secret.outputs["arn"] for secret in recording.of_type("aws:secretsmanager/secret:Secret")]
    arns += [secret["secretArn"] for secret in managed_secrets(recording)]
    return {name_of_secret(arn): arn for arn in arns}


def managed_secrets(recording: Recording) -> list[Mapping[str, str]]:
    """The admin secrets that RDS manages itself."""
    instances = recording.of_type(DATABASE)
    return [secret for instance in instances for secret in instance.outputs.get("masterUserSecrets", [])]


def name_of_secret(arn: str) -> str:
    """The name in a secret's ARN, to which AWS appends a hyphen and six characters."""
    return arn.partition(":secret:")[2][:-7]


def launch_template(recording: Recording, group: Resource) -> Resource:
    """The launch template of an autoscaling group, alone or within a mixed instances policy."""
    given = group.inputs.get("launchTemplate", {}).get("id")
    if not given:
        policy = group.inputs["mixedInstancesPolicy"]["launchTemplate"]
        given = policy["launchTemplateSpecification"]["launchTemplateId"]
    return next(template for template in recording.of_type(TEMPLATE) if template.id == given)


def fill(recording: Recording, client: Client, *, secrets: Mapping[str, str], maximums: Mapping[str, int]) -> AccessKey:
    """Make every resource that nodes use, and return the operator's key.

    `secrets` are the values that AWS itself stores, by ARN; `maximums` are the largest sizes of the groups, by name.
    """
    key = _operator(client("iam"))
    _secrets(recording, client("secretsmanager"), secrets)
    _buckets(recording, client("s3"))
    _roles(recording, client("iam"))
    ids = _network(recording, client("ec2"))
    _volumes(recording, client("ec2"))
    _topics(recording, client("sns"))
    ids |= _launch_templates(recording, client("ec2"))
    _groups(recording, client("autoscaling"), ids, maximums)
    return key


def _operator(iam: Any) -> AccessKey:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.create_user(UserName=OPERATOR)
    iam.put_user_policy(
        UserName=OPERATOR,
        PolicyName="everything",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
    )
    key = iam.create_access_key(UserName=OPERATOR)["AccessKey"]
    return AccessKey(id=key["AccessKeyId"], secret=key["SecretAccessKey"])


def _secrets(recording: Recording, secretsmanager: Any, given: Mapping[str, str]) -> None:
    values = {
        version.inputs["secretId"]: version.inputs["secretString"]
        for version in recording.of_type("aws:secretsmanager/secretVersion:SecretVersion")
    }
    values |= given
    for name, arn in secret_arns(recording).items():
        secretsmanager.create_secret(Name=name, **({"SecretString": values[arn]} if arn in values else {}))


def _buckets(recording: Recording, s3: Any) -> None:
    for bucket in recording.of_type("aws:s3/bucket:Bucket"):
        place = {"LocationConstraint": bucket.outputs["bucketRegion"]}
        # us-east-1 is the one region that must not be named.
        named = {} if place["LocationConstraint"] == "us-east-1" else {"CreateBucketConfiguration": place}
        s3.create_bucket(Bucket=bucket.id, **named)
    for versioning in recording.of_type("aws:s3/bucketVersioning:BucketVersioning"):
        s3.put_bucket_versioning(
            Bucket=versioning.inputs["bucket"],
            VersioningConfiguration={"Status": versioning.inputs["versioningConfiguration"]["status"]},
        )
    for policy in recording.of_type("aws:s3/bucketPolicy:BucketPolicy"):
        s3.put_bucket_policy(Bucket=policy.inputs["bucket"], Policy=policy.inputs["policy"])
    for item in recording.of_type(BUCKET_OBJECT):
        s3.put_object(Bucket=item.inputs["bucket"], Key=item.inputs["key"], Body=_content(item))


def _content(item: Resource) -> bytes:
    """An object's bytes, given as base64 or as text."""
    if "contentBase64" in item.inputs:
        return base64.b64decode(item.inputs["contentBase64"])
    return item.inputs["content"].encode()


def _roles(recording: Recording, iam: Any) -> None:
    for role in recording.of_type("aws:iam/role:Role"):
        iam.create_role(
            RoleName=role.outputs["name"],
            Path=role.inputs.get("path", "/"),
            AssumeRolePolicyDocument=role.inputs["assumeRolePolicy"],
        )
    for policy in recording.of_type("aws:iam/rolePolicy:RolePolicy"):
        iam.put_role_policy(
            RoleName=policy.inputs["role"], PolicyName=policy.outputs["name"], PolicyDocument=policy.inputs["policy"]
        )
    for profile in recording.of_type("aws:iam/instanceProfile:InstanceProfile"):
        iam.create_instance_profile(InstanceProfileName=profile.outputs["name"])
        iam.add_role_to_instance_profile(InstanceProfileName=profile.outputs["name"], RoleName=profile.inputs["role"])


def _network(recording: Recording, ec2: Any) -> dict[str, str]:
    """Make VPC and subnets. Returns moto's ids by the recorded ones, as moto chooses them itself."""
    ids = {}
    for vpc in recording.of_type(VPC):
        ids[vpc.id] = ec2.create_vpc(CidrBlock=vpc.inputs["cidrBlock"])["Vpc"]["VpcId"]
    for subnet in recording.of_type(SUBNET):
        made = ec2.create_subnet(
            VpcId=ids[subnet.inputs["vpcId"]],
            CidrBlock=subnet.inputs["cidrBlock"],
            AvailabilityZone=subnet.inputs["availabilityZone"],
        )
        ids[subnet.id] = made["Subnet"]["SubnetId"]
    return ids


def _volumes(recording: Recording, ec2: Any) -> None:
    for volume in recording.of_type(VOLUME):
        ec2.create_volume(
            AvailabilityZone=volume.inputs["availabilityZone"],
            Size=volume.inputs["size"],
            TagSpecifications=[{"ResourceType": "volume", "Tags": _tags(volume.inputs["tags"])}],
        )


def _topics(recording: Recording, sns: Any) -> None:
    """Without their keys and policies: moto neither encrypts nor decides by a topic's policy."""
    for topic in recording.of_type("aws:sns/topic:Topic"):
        sns.create_topic(Name=topic.inputs["name"])


def _launch_templates(recording: Recording, ec2: Any) -> dict[str, str]:
    return {
        template.id: ec2.create_launch_template(
            LaunchTemplateName=template.outputs["name"], LaunchTemplateData=_template_data(template.inputs)
        )["LaunchTemplate"]["LaunchTemplateId"]
        for template in recording.of_type(TEMPLATE)
    }


def _template_data(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What decides how an instance boots; the lab makes disks and interfaces itself."""
    return {
        "ImageId": inputs["imageId"],
        **({"InstanceType": inputs["instanceType"]} if "instanceType" in inputs else {}),
        "UserData": inputs["userData"],
        "IamInstanceProfile": {"Arn": inputs["iamInstanceProfile"]["arn"]},
        "MetadataOptions": {key[0].upper() + key[1:]: value for key, value in inputs["metadataOptions"].items()},
        "TagSpecifications": [
            {"ResourceType": specification["resourceType"], "Tags": _tags(specification["tags"])}
            for specification in inputs["tagSpecifications"]
        ],
    }


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _groups(recording: Recording, autoscaling: Any, ids: Mapping[str, str], maximums: Mapping[str, int]) -> None:
    for group in recording.of_type(GROUP):
        given = group.inputs
        template = dict(_template_of(given, ids))
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=group.outputs["name"],
            MinSize=given["minSize"],
            MaxSize=maximums[group.outputs["name"]],
            DesiredCapacity=group.outputs["desiredCapacity"],
            VPCZoneIdentifier=",".join(ids[subnet] for subnet in given["vpcZoneIdentifiers"]),
            HealthCheckType=given["healthCheckType"],
            Tags=[{**_capitals(tag), "ResourceId": group.outputs["name"]} for tag in given.get("tags", [])],
            **dict(_lifecycle_of(given)),
            **template,
        )
        # At creation moto treats 0 as "not given" and sets 300. An update without a template would remove the template.
        grace = given["healthCheckGracePeriod"]
        autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=group.outputs["name"], HealthCheckGracePeriod=grace, **template
        )
    # Hooks that are resources of their own come after their group, so they do not apply to its first instances.
    for hook in recording.of_type(HOOK):
        given = {key: value for key, value in hook.inputs.items() if key in HOOK_PROPERTIES}
        autoscaling.put_lifecycle_hook(
            AutoScalingGroupName=hook.inputs["autoscalingGroupName"],
            LifecycleHookName=hook.outputs["name"],
            **_capitals(given),
        )


def refresh_preferences(recording: Recording, group: str) -> dict[str, Any]:
    """The program's preferences for a refresh of this group, in the form of the API."""
    [recorded] = [each for each in recording.of_type(GROUP) if each.outputs["name"] == group]
    return _capitals(recorded.inputs["instanceRefresh"]["preferences"])


def change_template(client: Client, group: str, changes: Mapping[str, Any], preferences: Mapping[str, Any]) -> None:
    """Do what `pulumi up` does when the launch template of a group has changed, in the provider's order.

    The provider updates the group, then starts the refresh, and passes no desired configuration: if AWS refuses the
    refresh, the group stays changed, and the next `pulumi up` finds no difference (resourceGroupUpdate in
    https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/autoscaling/group.go).
    """
    autoscaling, ec2 = client("autoscaling"), client("ec2")
    [described] = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
    launched: dict[str, Any] = {"LaunchTemplate": dict(described.get("LaunchTemplate", {}))}
    named = launched["LaunchTemplate"]
    if described.get("MixedInstancesPolicy"):
        launched = {"MixedInstancesPolicy": policy_to_give(described)}
        named = launched["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
    named.pop("LaunchTemplateName", None)  # id or name, not both
    template = {"LaunchTemplateId": named["LaunchTemplateId"]}
    [old] = ec2.describe_launch_template_versions(**template, Versions=[named["Version"]])["LaunchTemplateVersions"]
    made = ec2.create_launch_template_version(**template, LaunchTemplateData={**old["LaunchTemplateData"], **changes})
    named["Version"] = str(made["LaunchTemplateVersion"]["VersionNumber"])
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, **launched)
    autoscaling.start_instance_refresh(AutoScalingGroupName=group, Preferences=dict(preferences))


def policy_to_give(described: Mapping[str, Any]) -> dict[str, Any]:
    """A described group's mixed instances policy in the form that UpdateAutoScalingGroup accepts."""
    policy = copy.deepcopy(described["MixedInstancesPolicy"])
    policy["LaunchTemplate"]["LaunchTemplateSpecification"].pop("LaunchTemplateName", None)  # id or name, not both
    return policy


def _lifecycle_of(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The given arguments for the launch and termination of the group's instances."""
    if policies := given.get("terminationPolicies"):
        yield "TerminationPolicies", policies
    yield "CapacityRebalance", given.get("capacityRebalance", False)
    if hooks := given.get("initialLifecycleHooks"):
        yield (
            "LifecycleHookSpecificationList",
            [
                {
                    "LifecycleHookName": hook["name"],
                    **_capitals({key: hook[key] for key in HOOK_PROPERTIES if key in hook}),
                }
                for hook in hooks
            ],
        )
    if policy := given.get("instanceLifecyclePolicy"):
        triggers = _capitals(policy.get("retentionTriggers", {}))
        yield "InstanceLifecyclePolicy", {"RetentionTriggers": triggers}


def _template_of(given: Mapping[str, Any], ids: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """The group's launch template, alone or within a mixed instances policy."""
    if "launchTemplate" in given:
        template = given["launchTemplate"]
        yield "LaunchTemplate", {"LaunchTemplateId": ids[template["id"]], "Version": template["version"]}
        return
    policy = given["mixedInstancesPolicy"]
    template = policy["launchTemplate"]["launchTemplateSpecification"]
    yield (
        "MixedInstancesPolicy",
        {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": ids[template["launchTemplateId"]],
                    "Version": template["version"],
                },
                "Overrides": [_capitals(override) for override in policy["launchTemplate"]["overrides"]],
            },
            "InstancesDistribution": _capitals(policy["instancesDistribution"]),
        },
    )


def _capitals(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Pulumi's property names as the API spells them."""
    return {key[0].upper() + key[1:]: value for key, value in mapping.items()}


def store_secret(secretsmanager: Any, name: str, value: str) -> None:
    """Make the secret, or give it another value."""
    try:
        secretsmanager.put_secret_value(SecretId=name, SecretString=value)
    except secretsmanager.exceptions.ResourceNotFoundException:
        secretsmanager.create_secret(Name=name, SecretString=value)
