"""Lifecycle hooks: they hold a node until it is ready, and until it has drained."""

from __future__ import annotations

from typing import Literal

import pulumi
import pulumi_aws as aws

from node.naming import LAUNCHING_HOOK, TERMINATING_HOOK

# A first boot that has not finished reports itself as failed after 45 minutes. The hook ends nodes that cannot report.
LAUNCHING_SECONDS = 3600

_LAUNCHING: Literal["autoscaling:EC2_INSTANCE_LAUNCHING"] = "autoscaling:EC2_INSTANCE_LAUNCHING"
_TERMINATING: Literal["autoscaling:EC2_INSTANCE_TERMINATING"] = "autoscaling:EC2_INSTANCE_TERMINATING"


def first_launching_hook() -> aws.autoscaling.GroupInitialLifecycleHookArgs:
    """The launching hook as an argument of a new group, so that it also holds the group's first nodes.

    The provider reads it at creation only, and would replace a whole group for a change to it: the group has to ignore
    changes of `initialLifecycleHooks`. `launching_hook`, of the same name, manages the hook from then on.
    """
    return aws.autoscaling.GroupInitialLifecycleHookArgs(
        name=LAUNCHING_HOOK,
        lifecycle_transition=_LAUNCHING,
        heartbeat_timeout=LAUNCHING_SECONDS,
        default_result="ABANDON",
    )


def launching_hook(
    name: str, group: aws.autoscaling.Group, *, opts: pulumi.ResourceOptions
) -> aws.autoscaling.LifecycleHook:
    """Keep a node out of service until its services are ready. A node that never reports so is replaced."""
    return _hook(name, group, LAUNCHING_HOOK, _LAUNCHING, LAUNCHING_SECONDS, opts)


def terminating_hook(
    name: str, group: aws.autoscaling.Group, *, heartbeat_seconds: int, opts: pulumi.ResourceOptions
) -> aws.autoscaling.LifecycleHook:
    """Hold a node until its tasks are done. ABANDON, for a group that retains such nodes: CONTINUE would end their
    tasks."""
    return _hook(name, group, TERMINATING_HOOK, _TERMINATING, heartbeat_seconds, opts)


def _hook(
    logical_name: str,
    group: aws.autoscaling.Group,
    name: str,
    transition: str,
    heartbeat_seconds: int,
    opts: pulumi.ResourceOptions,
) -> aws.autoscaling.LifecycleHook:
    return aws.autoscaling.LifecycleHook(
        logical_name,
        name=name,
        autoscaling_group_name=group.name,
        lifecycle_transition=transition,
        heartbeat_timeout=heartbeat_seconds,
        default_result="ABANDON",
        opts=opts,
    )
