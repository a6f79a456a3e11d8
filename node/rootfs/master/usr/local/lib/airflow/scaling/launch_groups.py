"""The cluster's Auto Scaling groups: reads their sizes, raises those of pools, and finds out why a launch failed."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import boto3
from airflow_node import log
from airflow_node.worker_registry import GroupSizes
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

# The limit of one call: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html
NAMES_PER_CALL = 50
# How many of a group's newest activities are read; those of a group that cannot launch are mostly failed launches.
ACTIVITIES = 20
CLIENT_CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
# Auto Scaling's responses may be some seconds old, and a pass takes place every ten seconds.
LAG_SECONDS = 30.0
# A worker may report for this long before its group lists it, or after the group has stopped listing it.
LISTED_SECONDS = 120.0
# Prefixes of the lifecycle states of instances that do not serve yet, or no longer.
NOT_SERVING = ("Pending", "Terminating")
ENDED = ("Successful", "Failed", "Cancelled")
KMS_REMEDY = " (If EBS uses a customer managed key, Auto Scaling needs a grant: docs/running-worker-pools.md)"


class AutoScalingError(Exception):
    """Auto Scaling did not respond, or refused. The message is one line."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """One version of a launch template. If a template is replaced, the new one starts at version 1."""

    id: str
    version: int


@dataclass(frozen=True, kw_only=True)
class LaunchGroup:
    """A group as Auto Scaling describes it.

    Attributes:
        in_service: instances in service. The desired capacity counts them and those that boot, but none that Auto
            Scaling is ending.
        templates: the launch template of each instance that the group lists, in any state; None if it is not known.
        template: the launch template of new instances; None for a group with a mixed instances policy.
        serving: instances that may work: those in service and those in standby.
    """

    sizes: GroupSizes
    in_service: frozenset[str]
    templates: Mapping[str, Template | None]
    template: Template | None = None
    serving: frozenset[str] = frozenset()

    @property
    def instances(self) -> frozenset[str]:
        """All instances that the group lists."""
        return frozenset(self.templates)


class LaunchGroups:
    """Client of Auto Scaling with short time-outs and few retries, because the next pass retries. Every error is an
    AutoScalingError."""

    def __init__(self, connect: Callable[[], Any] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`connect` creates a client with the node's region and credentials. The clock is monotonic, in seconds."""
        self._connect = connect or _client
        self._client = self._connect()
        self._clock = clock
        self._sights: defaultdict[str, deque[tuple[float, LaunchGroup]]] = defaultdict(deque)

    def describe(self, names: Sequence[str]) -> dict[str, LaunchGroup]:
        """The groups by name, without those that do not exist."""
        found: dict[str, LaunchGroup] = {}
        with self._one_error("DescribeAutoScalingGroups"):
            for start in range(0, len(names), NAMES_PER_CALL):
                some = list(names[start : start + NAMES_PER_CALL])
                pages = self._client.get_paginator("describe_auto_scaling_groups").paginate(AutoScalingGroupNames=some)
                for page in pages:
                    found |= {group["AutoScalingGroupName"]: _read(group) for group in page["AutoScalingGroups"]}
        for name, group in found.items():
            self._remember(name, group)
        return found

    def raise_to(self, name: str, desired: int) -> int:
        """Raise the desired capacity, unless it is as high already; returns the resulting one.

        It is read again first: since the pass began, an operator may have raised it, or another master that got the
        lock before this one noticed that its own connection is dead. The response may be older than the values that
        were read or set before, so these count too. A raise by somebody else that no response has shown yet would be
        lowered.
        """
        group = self.describe([name]).get(name)
        if group is None:
            raise AutoScalingError(f"SetDesiredCapacity of {name} to {desired}: the group does not exist")
        if group.sizes.desired >= desired:
            return group.sizes.desired
        desired = max(desired, min(self._lately(name, group), group.sizes.maximum))
        with self._one_error(f"SetDesiredCapacity of {name} to {desired}"):
            self._client.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=desired, HonorCooldown=False)
        self._remember(name, replace(group, sizes=replace(group.sizes, desired=desired)))
        return desired

    def launch_failure(self, name: str, since: datetime) -> str | None:
        """Why the newest launch that has ended since `since` failed; None if it succeeded, or none has ended."""
        with self._one_error(f"DescribeScalingActivities of {name}"):
            answer = self._client.describe_scaling_activities(AutoScalingGroupName=name, MaxRecords=ACTIVITIES)
        for activity in answer["Activities"]:
            # Newest first. Only its description says whether an activity is a launch.
            if activity["StatusCode"] in ENDED and activity["Description"].startswith("Launching"):
                failed = activity["StatusCode"] != "Successful" and activity.get("EndTime", since) >= since
                return _with_remedy(activity.get("StatusMessage", "no reason given")) if failed else None
        return None

    def listed_lately(self, name: str) -> frozenset[str]:
        """The instances that the group has listed within the last two minutes."""
        return frozenset().union(*(seen.instances for _, seen in self._sights[name]))

    @contextmanager
    def _one_error(self, what: str) -> Generator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, NoCredentialsError):
                # A client that was created while the metadata service did not respond never gets credentials.
                self._client = self._connect()
            raise AutoScalingError(f"{what}: {log.one_line(error)}") from error

    def _remember(self, name: str, group: LaunchGroup) -> None:
        sights, now = self._sights[name], self._clock()
        sights.append((now, group))
        while sights[0][0] < now - LISTED_SECONDS:
            sights.popleft()

    def _lately(self, name: str, group: LaunchGroup) -> int:
        """The largest desired capacity of the last half minute, without the places of instances that have left since.

        A worker that scales in lowers the desired capacity by one, so its absence shows that the capacity is really
        lower.
        """
        since = self._clock() - LAG_SECONDS
        return max(
            seen.sizes.desired - len(seen.in_service - group.in_service)
            for at, seen in self._sights[name]
            if at >= since
        )


def _read(group: dict[str, Any]) -> LaunchGroup:
    instances = group.get("Instances", [])
    return LaunchGroup(
        sizes=GroupSizes(
            minimum=group["MinSize"],
            maximum=group["MaxSize"],
            desired=group["DesiredCapacity"],
            instances=len(instances),
        ),
        in_service=frozenset(one["InstanceId"] for one in instances if one["LifecycleState"] == "InService"),
        templates={one["InstanceId"]: _template(one) for one in instances},
        template=_template(group),
        serving=frozenset(one["InstanceId"] for one in instances if not one["LifecycleState"].startswith(NOT_SERVING)),
    )


def _template(described: dict[str, Any]) -> Template | None:
    """The template of a group or an instance. The program always names a version by its number."""
    named = described.get("LaunchTemplate")
    if named is None or not str(named.get("Version", "")).isdigit():
        return None
    return Template(id=named["LaunchTemplateId"], version=int(named["Version"]))


def _with_remedy(message: str) -> str:
    """The message in one line; with a remedy if the message does not name its cause.

    An instance whose volume cannot be encrypted is terminated right after its launch:
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
    """
    text = log.one_line(message)
    if "KMS" in message or "Client.InternalError" in message:
        text += KMS_REMEDY
    return text


def _client() -> Any:
    return boto3.client("autoscaling", config=CLIENT_CONFIG)
