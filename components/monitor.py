"""The monitor: the node that stores metrics, evaluates alert rules and sends alerts."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.autoscaling_group import autoscaling_group
from components.component import Component
from components.launch_template import NodeLaunch, launch_template
from components.lifecycle_hooks import launching_hook
from settings import MonitoringSettings

# Debian and its packages, and the journal. Metrics are on a volume of their own.
ROOT_VOLUME_GIB = 10

# As for masters: counted from the moment when the node has reported that its services are up.
HEALTH_GRACE_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class MonitorArgs:
    """The monitor's launch, in the zone of its volume, and the target group that decides whether it is healthy."""

    settings: MonitoringSettings
    launch: NodeLaunch
    target_group_arn: pulumi.Input[str]


class Monitor(Component):
    """A group of one node, which attaches the volume with the metrics.

    A node that stops accepting samples is replaced. The volume can be attached to one node only, so the old node goes
    first; for the minutes until the new one is there, the other nodes keep their samples.
    """

    autoscaling_group_name: pulumi.Output[str]

    def __init__(self, name: str, args: MonitorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:monitoring:Monitor", name, None, opts)
        template = launch_template(
            f"{name}-template",
            args.launch,
            instance_type=args.settings.instance_type,
            root_volume_gib=ROOT_VOLUME_GIB,
            opts=self.child(),
        )
        group = autoscaling_group(
            f"{name}-group",
            args.launch,
            ends_before_launch=True,
            min_size=1,
            max_size=1,
            desired_capacity=1,
            launch_template=aws.autoscaling.GroupLaunchTemplateArgs(
                id=template.id,
                # A concrete version, as for masters: with "$Latest" no refresh would ever start.
                version=template.latest_version.apply(str),
            ),
            health_check_type="ELB",
            health_check_grace_period=HEALTH_GRACE_SECONDS,
            opts=self.child(depends_on=list(args.launch.after), ignore_changes=["initialLifecycleHooks"]),
        )
        launching_hook(f"{name}-launching-hook", group, opts=self.child())
        aws.autoscaling.Attachment(
            f"{name}-targets",
            autoscaling_group_name=group.name,
            lb_target_group_arn=args.target_group_arn,
            opts=self.child(),
        )
        self.autoscaling_group_name = group.name
        self.register_outputs({"autoscaling_group_name": self.autoscaling_group_name})
