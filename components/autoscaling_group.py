"""What the autoscaling groups of all roles have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from components.launch_template import NodeLaunch
from components.lifecycle_hooks import first_launching_hook

# Free of charge, and off by default. They show how long a group was short of nodes.
GROUP_METRICS = (
    aws.autoscaling.Metric.GROUP_MIN_SIZE,
    aws.autoscaling.Metric.GROUP_MAX_SIZE,
    aws.autoscaling.Metric.GROUP_DESIRED_CAPACITY,
    aws.autoscaling.Metric.GROUP_IN_SERVICE_INSTANCES,
    aws.autoscaling.Metric.GROUP_PENDING_INSTANCES,
    aws.autoscaling.Metric.GROUP_TERMINATING_INSTANCES,
    aws.autoscaling.Metric.GROUP_TOTAL_INSTANCES,
)

# Launch before terminating. AWS rounds the upper bound up, so a group of up to ten nodes may have one more.
MIN_HEALTHY_PERCENT = 100
MAX_HEALTHY_PERCENT = 110


class _Group(aws.autoscaling.Group):
    """The provider's group with metrics of any name. The SDK's enumeration lacks those of retained instances, and the
    SDK rejects other names when the provider returns them."""

    @property
    @pulumi.getter(name="enabledMetrics")
    def enabled_metrics(  # ty: ignore[incompatible-property-override] - any name, where the SDK lists some
        self,
    ) -> pulumi.Output[Sequence[str] | None]:
        """The group metrics that are sent to CloudWatch."""
        return pulumi.get(self, "enabled_metrics")


def autoscaling_group(
    logical_name: str,
    launch: NodeLaunch,
    *,
    metrics: Sequence[str] = (),
    ends_before_launch: bool = False,
    opts: pulumi.ResourceOptions,
    **arguments: Any,
) -> aws.autoscaling.Group:
    """Register the group of nodes that are launched in this way, with the role's own arguments.

    With `ends_before_launch`, a node is terminated before its replacement is launched, for a group whose nodes need
    something that only one of them can have.
    `opts` has to ignore changes of `initialLifecycleHooks` (components/lifecycle_hooks.py).
    """
    least, most = (0, 100) if ends_before_launch else (MIN_HEALTHY_PERCENT, MAX_HEALTHY_PERCENT)
    return _Group(
        logical_name,
        name=launch.group_name,
        vpc_zone_identifiers=launch.subnet_ids,
        # Launch before terminating, whatever makes AWS replace a node. With one master there is no gap either: tasks
        # lose their heartbeats, and fail, when no api-server responds for minutes.
        instance_maintenance_policy=aws.autoscaling.GroupInstanceMaintenancePolicyArgs(
            min_healthy_percentage=least, max_healthy_percentage=most
        ),
        instance_refresh=_rolling_refresh(launch, least, most),
        initial_lifecycle_hooks=[first_launching_hook()],
        # "0" = do not wait. Boots take minutes, and a node that fails is replaced until one succeeds: `pulumi up` would
        # wait for ten minutes and then report a group as failed that recovers by itself.
        wait_for_capacity_timeout="0",
        enabled_metrics=[*GROUP_METRICS, *metrics],  # ty: ignore[invalid-argument-type] - see _Group
        tags=_group_tags(launch.tags),
        opts=opts,
        **arguments,
    )


def _group_tags(tags: Mapping[str, str]) -> list[aws.autoscaling.GroupTagArgs]:
    """The tags of the group itself: the provider's default tags do not reach an Auto Scaling group."""
    return [
        aws.autoscaling.GroupTagArgs(key=key, value=value, propagate_at_launch=True)
        for key, value in sorted(tags.items())
    ]


def _rolling_refresh(launch: NodeLaunch, least: int, most: int) -> aws.autoscaling.GroupInstanceRefreshArgs:
    """How nodes are replaced; the provider starts a refresh when the launch template or mixed instances policy changes.

    No automatic rollback: the provider changes the group before it starts the refresh, so there would be nothing to
    roll back to (https://github.com/hashicorp/terraform-provider-aws/issues/34189).
    """
    return aws.autoscaling.GroupInstanceRefreshArgs(
        strategy="Rolling",
        preferences=aws.autoscaling.GroupInstanceRefreshPreferencesArgs(
            # Repeated from the group's maintenance policy: the provider sends 90 and 100 when they are absent.
            min_healthy_percentage=least,
            max_healthy_percentage=most,
            skip_matching=launch.skip_matching,
        ),
    )
