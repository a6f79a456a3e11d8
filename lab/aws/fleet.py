"""The account's instances and groups, read through its API, and what the lab does there in EC2's place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from ipaddress import IPv4Address
from typing import Any

from lab.aws.lifecycle import GONE
from lab.aws.policy import Request, is_allowed
from lab.instance import Instance, RoleCredentials
from lab.progress import LabError

NO_CAPACITY_TAG = "lab:no-capacity"
"""A group with this tag cannot launch; the value is the message of the failed activities."""
REBALANCE_TAG = "lab:rebalance-recommended"
"""EC2 recommends to replace an instance that has this tag."""
GROUP_TAG = "aws:autoscaling:groupName"


@dataclass(frozen=True, kw_only=True)
class Group:
    """An autoscaling group.

    Attributes:
        grace: how long failed health checks of a new instance are ignored; None for a group without a load balancer.
        desired: the desired capacity.
        states: the lifecycle state of each instance, by its id.
        unhealthy: ids of the instances that were reported as such.
        replaces_unhealthy: false while that process is suspended, to examine a failing node.
    """

    name: str
    grace: timedelta | None
    desired: int
    states: Mapping[str, str]
    unhealthy: frozenset[str]
    replaces_unhealthy: bool


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How Auto Scaling ended an instance: see `lab.aws.lifecycle.Member.how`; `waited` in seconds."""

    cause: str
    how: str
    waited: float


class Fleet:
    """The account, for the lab in the roles of EC2 and Auto Scaling."""

    def __init__(self, client: Callable[[str], Any], *, region: str, account_id: str) -> None:
        self._client = client
        self._region = region
        self._account_id = account_id
        self._ec2 = client("ec2")
        self._autoscaling = client("autoscaling")
        self._templates: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._role_of = cache(self._find_role)

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
        """Let EC2 end an instance without waiting for hooks; its group replaces it at once."""
        self._ec2.terminate_instances(InstanceIds=[instance_id])

    def report_unhealthy(self, instance_id: str) -> None:
        """Report failed health checks: the group terminates the instance through its hooks, and replaces it."""
        self._autoscaling.set_instance_health(
            InstanceId=instance_id, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
        )

    def recommend_rebalance(self, instance_id: str) -> None:
        """Let EC2 recommend to replace a spot instance; its group acts on it."""
        tag = {"Key": REBALANCE_TAG, "Value": "yes"}
        self._ec2.create_tags(Resources=[instance_id], Tags=[tag])

    def refuse_launches(self, group: str, message: str | None) -> None:
        """Let the group's launches fail with this message; None lets them succeed again."""
        tag = {"ResourceId": group, "ResourceType": "auto-scaling-group", "Key": NO_CAPACITY_TAG}
        if message is None:
            self._autoscaling.delete_tags(Tags=[tag])
        else:
            self._autoscaling.create_or_update_tags(Tags=[tag | {"Value": message, "PropagateAtLaunch": False}])

    def lifecycle_state(self, instance_id: str) -> str:
        """The state of an instance at this moment; `gone` when no group has it."""
        found = self._autoscaling.describe_auto_scaling_instances(InstanceIds=[instance_id])["AutoScalingInstances"]
        return found[0]["LifecycleState"] if found else GONE

    def ending(self, instance: Instance) -> Ending | None:
        """How an instance ended, if Auto Scaling ended it."""
        activities = self._autoscaling.describe_scaling_activities(AutoScalingGroupName=instance.group)["Activities"]
        for activity in activities:
            details = json.loads(activity["Details"])
            if activity["Description"] == f"Terminating EC2 instance: {instance.id}" and "How" in details:
                return Ending(cause=activity["Cause"], how=details["How"], waited=details["Waited"])
        return None

    def _instance(self, described: Mapping[str, Any]) -> Instance:
        tags = {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}
        group = tags.get(GROUP_TAG, "")
        launched_from = tags.get("aws:ec2launchtemplate:id", ""), tags.get("aws:ec2launchtemplate:version", "")
        template = self._template(*launched_from) if group else {}
        profile = template.get("IamInstanceProfile", {}).get("Arn", "")
        return Instance(
            id=described["InstanceId"],
            group=group,
            address=IPv4Address(described["PrivateIpAddress"]),
            zone=described["Placement"]["AvailabilityZone"],
            region=self._region,
            account_id=self._account_id,
            instance_type=described["InstanceType"],
            life_cycle=described.get("InstanceLifecycle", "on-demand"),
            image_id=described["ImageId"],
            profile_arn=profile,
            role=self._role_of(profile)["RoleName"] if profile else "",
            user_data=template.get("UserData", ""),
            tags=tags,
            readable_tags=template.get("MetadataOptions", {}).get("InstanceMetadataTags") == "enabled",
        )

    def _template(self, id_: str, version: str) -> Mapping[str, Any]:
        """The data of a launch template's version."""
        if (id_, version) not in self._templates:
            versions = self._ec2.describe_launch_template_versions(LaunchTemplateId=id_, Versions=[version])
            self._templates[id_, version] = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        return self._templates[id_, version]

    def _find_role(self, profile_arn: str) -> Mapping[str, Any]:
        """The role of an instance profile; LabError if it does not trust EC2, which then could not assume it."""
        name = profile_arn.rpartition("/")[2]
        role = self._client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"][0]
        trust = role["AssumeRolePolicyDocument"]
        document = json.loads(trust) if isinstance(trust, str) else trust
        request = Request(action="sts:AssumeRole", resource=role["Arn"], principal="ec2.amazonaws.com")
        if not is_allowed(request, [], [document]):
            raise LabError(f"The role {role['RoleName']} does not trust ec2.amazonaws.com, so no instance can have it.")
        return role


def _group(described: Mapping[str, Any]) -> Group:
    grace = timedelta(seconds=described["HealthCheckGracePeriod"])
    suspended = {process["ProcessName"] for process in described.get("SuspendedProcesses", [])}
    return Group(
        name=described["AutoScalingGroupName"],
        grace=grace if described["HealthCheckType"] == "ELB" else None,
        desired=described["DesiredCapacity"],
        states={member["InstanceId"]: member["LifecycleState"] for member in described["Instances"]},
        unhealthy=frozenset(
            member["InstanceId"] for member in described["Instances"] if member["HealthStatus"] != "Healthy"
        ),
        replaces_unhealthy="ReplaceUnhealthy" not in suspended,
    )
