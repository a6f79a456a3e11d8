"""The account's instances and groups as the API tells of them, and what EC2 does for an instance behind the scenes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from ipaddress import IPv4Address
from typing import Any

from lab.instance import Instance, RoleCredentials
from lab.progress import LabError

GROUP_TAG = "aws:autoscaling:groupName"


@dataclass(frozen=True, kw_only=True)
class Group:
    """An autoscaling group.

    Attributes:
        grace: how long the load balancer's verdict on a new instance does not count; None for a group without one.
        unhealthy: ids of the instances that somebody reported as such.
        replaces_unhealthy: false while somebody has suspended that process, to look at a failing node.
    """

    name: str
    grace: timedelta | None
    unhealthy: frozenset[str]
    replaces_unhealthy: bool


class Fleet:
    """What the lab, playing EC2 and Auto Scaling, asks the account for."""

    def __init__(self, client: Callable[[str], Any], *, region: str, account_id: str) -> None:
        self._client = client
        self._region = region
        self._account_id = account_id
        self._ec2 = client("ec2")
        self._autoscaling = client("autoscaling")
        self._templates: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._role_of = cache(self._look_up_role)

    def groups(self) -> dict[str, Group]:
        """Every group, by its name."""
        described = self._autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        return {group["AutoScalingGroupName"]: _group(group) for group in described}

    def instances(self) -> dict[str, Instance]:
        """Every running instance of a group, by its id."""
        running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        reservations = self._ec2.describe_instances(Filters=running)["Reservations"]
        found = [self._instance(described) for r in reservations for described in r["Instances"]]
        return {instance.id: instance for instance in found if instance.group}

    def credentials(self, instance: Instance) -> RoleCredentials:
        """Temporary credentials of the instance's role, as EC2 fetches them for the metadata service."""
        role = self._role_of(instance.profile_arn)
        given = self._client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName=instance.id)["Credentials"]
        return RoleCredentials(
            access_key_id=given["AccessKeyId"],
            secret_access_key=given["SecretAccessKey"],
            session_token=given["SessionToken"],
            expiration=given["Expiration"],
        )

    def terminate(self, instance_id: str) -> None:
        """Terminate an instance; its group replaces it at once."""
        self._ec2.terminate_instances(InstanceIds=[instance_id])

    def _instance(self, described: Mapping[str, Any]) -> Instance:
        tags = {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}
        group = tags.get(GROUP_TAG, "")
        template = self._template(group) if group else {}
        profile = template.get("IamInstanceProfile", {}).get("Arn", "")
        return Instance(
            id=described["InstanceId"],
            group=group,
            address=IPv4Address(described["PrivateIpAddress"]),
            zone=described["Placement"]["AvailabilityZone"],
            region=self._region,
            account_id=self._account_id,
            instance_type=described["InstanceType"],
            image_id=described["ImageId"],
            profile_arn=profile,
            role=self._role_of(profile)["RoleName"] if profile else "",
            user_data=template.get("UserData", ""),
            tags=tags,
            readable_tags=template.get("MetadataOptions", {}).get("InstanceMetadataTags") == "enabled",
        )

    def _template(self, group: str) -> Mapping[str, Any]:
        """The data of the launch template version that the group launches."""
        described = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"][
            0
        ]
        policy = described.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
        given = described.get("LaunchTemplate") or policy["LaunchTemplateSpecification"]
        key = given["LaunchTemplateId"], given["Version"]
        if key not in self._templates:
            versions = self._ec2.describe_launch_template_versions(LaunchTemplateId=key[0], Versions=[key[1]])
            self._templates[key] = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        return self._templates[key]

    def _look_up_role(self, profile_arn: str) -> Mapping[str, Any]:
        """The role of an instance profile; EC2 can take it on only if the role trusts EC2."""
        name = profile_arn.rpartition("/")[2]
        role = self._client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"][0]
        trust = role["AssumeRolePolicyDocument"]
        document = json.loads(trust) if isinstance(trust, str) else trust
        trusted = [statement.get("Principal", {}).get("Service") for statement in document["Statement"]]
        if "ec2.amazonaws.com" not in trusted:
            raise LabError(
                f"The role {role['RoleName']} does not trust ec2.amazonaws.com; EC2 could not give it to an instance."
            )
        return role


def _group(described: Mapping[str, Any]) -> Group:
    grace = timedelta(seconds=described["HealthCheckGracePeriod"])
    suspended = {process["ProcessName"] for process in described.get("SuspendedProcesses", [])}
    return Group(
        name=described["AutoScalingGroupName"],
        grace=grace if described["HealthCheckType"] == "ELB" else None,
        unhealthy=frozenset(
            member["InstanceId"] for member in described["Instances"] if member["HealthStatus"] != "Healthy"
        ),
        replaces_unhealthy="ReplaceUnhealthy" not in suspended,
    )
