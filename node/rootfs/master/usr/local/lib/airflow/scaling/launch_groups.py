"""The cluster's groups in Auto Scaling: their sizes, raising those of pools, and why a launch failed."""

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

# What one call asks for: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html
NAMES_PER_CALL = 50
# The newest activities of a group; a group that cannot launch has little else.
ACTIVITIES = 20
CLIENT_CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
# Auto Scaling's answers may be some seconds old. A pass comes every ten.
LAG_SECONDS = 30.0
# For as long a worker that its group does not list any more, or not yet, may say something.
LISTED_SECONDS = 120.0
# Beginnings of lifecycle states of instances that do not serve yet, or no longer.
NOT_SERVING = ("Pending", "Terminating")
ENDED = ("Successful", "Failed", "Cancelled")
KMS_REMEDY = " (If EBS uses a customer managed key, Auto Scaling needs a grant: docs/running-worker-pools.md)"


class AutoScalingError(Exception):
    """Auto Scaling did not answer, or refused. The message is one line."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """One version of a launch template. A template that is replaced by another one begins at version 1 again."""

    id: str
    version: int


@dataclass(frozen=True, kw_only=True)
class LaunchGroup:
    """A group as it is.

    Attributes:
        in_service: instances at work. The desired capacity counts them and those that boot; one that Auto Scaling ends
            is in neither.
        templates: what each instance that the group lists was launched from, whatever its state. None if Auto Scaling
            does not say so.
        template: what the group launches now; None for a group with a mixed instances policy.
        serving: instances that may do work: those in service and those in standby.
    """

    sizes: GroupSizes
    in_service: frozenset[str]
    templates: Mapping[str, Template | None]
    template: Template | None = None
    serving: frozenset[str] = frozenset()

    @property
    def instances(self) -> frozenset[str]:
        """All that the group lists."""
        return frozenset(self.templates)


class LaunchGroups:
    """The groups, asked with little backoff: the next pass asks again. Every error is an AutoScalingError."""

    def __init__(self, connect: Callable[[], Any] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`connect` makes a client with the node's region and credentials. The clock only goes forward, in seconds."""
        self._connect = connect or _client
        self._client = self._connect()
        self._clock = clock
        self._sights: defaultdict[str, deque[tuple[float, LaunchGroup]]] = defaultdict(deque)

    def describe(self, names: Sequence[str]) -> dict[str, LaunchGroup]:
        """The groups by name. One that is not there is left out."""
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
        """Raise the desired capacity, unless it is as much already; returns what it is then.

        It is asked for once more: since the pass began an operator may have raised it, or another master whose database
        let it in before this one noticed that its own connection is gone. The answer may be older than what was seen or
        set here before, so that counts too. Somebody else's raise that no answer has shown yet is lowered all the same.
        """
        group = self.describe([name]).get(name)
        if group is None:
            raise AutoScalingError(f"SetDesiredCapacity of {name} to {desired}: the group is gone")
        if group.sizes.desired >= desired:
            return group.sizes.desired
        desired = max(desired, min(self._lately(name, group), group.sizes.maximum))
        with self._one_error(f"SetDesiredCapacity of {name} to {desired}"):
            self._client.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=desired, HonorCooldown=False)
        self._remember(name, replace(group, sizes=replace(group.sizes, desired=desired)))
        return desired

    def launch_failure(self, name: str, since: datetime) -> str | None:
        """Why the newest launch that has ended since then failed; None if it succeeded, or none has ended."""
        with self._one_error(f"DescribeScalingActivities of {name}"):
            answer = self._client.describe_scaling_activities(AutoScalingGroupName=name, MaxRecords=ACTIVITIES)
        for activity in answer["Activities"]:
            # Newest first. Auto Scaling names the kind of an activity in its description only.
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
                # A client that was made while the metadata service did not answer never gets credentials.
                self._client = self._connect()
            raise AutoScalingError(f"{what}: {log.one_line(error)}") from error

    def _remember(self, name: str, group: LaunchGroup) -> None:
        sights, now = self._sights[name], self._clock()
        sights.append((now, group))
        while sights[0][0] < now - LISTED_SECONDS:
            sights.popleft()

    def _lately(self, name: str, group: LaunchGroup) -> int:
        """The largest desired capacity of the last half minute, without the places of instances that have gone since.

        They show that it has truly become smaller: a worker that leaves takes its place along.
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
    """The template of a group or an instance. The program names versions by their number."""
    named = described.get("LaunchTemplate")
    if named is None or not str(named.get("Version", "")).isdigit():
        return None
    return Template(id=named["LaunchTemplateId"], version=int(named["Version"]))


def _with_remedy(message: str) -> str:
    """The message in one line, with what to do if it does not name its cause.

    An instance whose volume cannot be encrypted is terminated right after its launch:
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
    """
    text = log.one_line(message)
    if "KMS" in message or "Client.InternalError" in message:
        text += KMS_REMEDY
    return text


def _client() -> Any:
    return boto3.client("autoscaling", config=CLIENT_CONFIG)
