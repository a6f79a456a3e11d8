"""The worker pools' groups in Auto Scaling: their sizes, raising them, and why a launch failed."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import boot_step
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from scaling.pool import Group

# What one call asks for: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html
NAMES_PER_CALL = 50
# The newest activities of a group; a group that cannot launch has little else.
ACTIVITIES = 20
PATIENCE = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
ENDED = ("Successful", "Failed", "Cancelled")


class AutoScalingError(Exception):
    """Auto Scaling did not answer, or refused. The message is one line."""


@dataclass(frozen=True, kw_only=True)
class LaunchGroup:
    """A group as it is.

    Attributes:
        in_service: instances at work. The desired capacity counts them and those that boot; one that Auto Scaling ends
            is in neither.
    """

    sizes: Group
    in_service: frozenset[str]


class LaunchGroups:
    """The groups, asked with little patience: the next pass asks again. Every error is an AutoScalingError."""

    def __init__(self, client: Any = None) -> None:
        """The client's region and credentials are the node's."""
        self._client = client or boto3.client("autoscaling", config=PATIENCE)

    def describe(self, names: Sequence[str]) -> dict[str, LaunchGroup]:
        """The groups by name. One that is not there is left out."""
        found: dict[str, LaunchGroup] = {}
        with _one_error("DescribeAutoScalingGroups"):
            for start in range(0, len(names), NAMES_PER_CALL):
                some = list(names[start : start + NAMES_PER_CALL])
                pages = self._client.get_paginator("describe_auto_scaling_groups").paginate(AutoScalingGroupNames=some)
                for page in pages:
                    found |= {group["AutoScalingGroupName"]: _read(group) for group in page["AutoScalingGroups"]}
        return found

    def raise_to(self, name: str, desired: int) -> int:
        """Raise the desired capacity, unless it is as much already; returns what it is then.

        It is asked for once more: since the pass began an operator may have raised it, or another master whose database
        let it in before this one noticed that its own connection is gone.
        """
        group = self.describe([name]).get(name)
        if group is None:
            raise AutoScalingError(f"SetDesiredCapacity of {name} to {desired}: the group is gone")
        if group.sizes.desired >= desired:
            return group.sizes.desired
        with _one_error(f"SetDesiredCapacity of {name} to {desired}"):
            self._client.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=desired, HonorCooldown=False)
        return desired

    def launch_failure(self, name: str, since: datetime) -> str | None:
        """Why the newest launch that has ended since then failed; None if it succeeded, or none has ended."""
        with _one_error(f"DescribeScalingActivities of {name}"):
            answer = self._client.describe_scaling_activities(AutoScalingGroupName=name, MaxRecords=ACTIVITIES)
        for activity in answer["Activities"]:
            # Newest first. Auto Scaling names the kind of an activity in its description only.
            if activity["StatusCode"] in ENDED and activity["Description"].startswith("Launching"):
                failed = activity["StatusCode"] != "Successful" and activity.get("EndTime", since) >= since
                return boot_step.one_line(activity.get("StatusMessage", "no reason given")) if failed else None
        return None


def _read(group: dict[str, Any]) -> LaunchGroup:
    return LaunchGroup(
        sizes=Group(minimum=group["MinSize"], maximum=group["MaxSize"], desired=group["DesiredCapacity"]),
        in_service=frozenset(
            instance["InstanceId"]
            for instance in group.get("Instances", [])
            if instance["LifecycleState"] == "InService"
        ),
    )


@contextmanager
def _one_error(what: str) -> Generator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise AutoScalingError(f"{what}: {boot_step.one_line(error)}") from error
