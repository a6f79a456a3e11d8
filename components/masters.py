"""The masters: the nodes of the control plane, which run Airflow's own services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.autoscaling_group import autoscaling_group
from components.component import Component
from components.launch_template import NodeLaunch, launch_template
from components.lifecycle_hooks import launching_hook
from settings import MasterSettings

# Counted from the moment when a master has reported that its services are up, after its boot. A load balancer needs
# several consecutive checks; an earlier verdict would replace a node only because it is new.
HEALTH_GRACE_SECONDS = 300

# A refresh continues with the next node this long after a launch. It must outlast the grace period: only then has the
# load balancer's health check counted once, and a template whose nodes never serve stops the refresh before the old
# nodes go.
WARMUP_SECONDS = HEALTH_GRACE_SECONDS + 60


@dataclass(frozen=True, kw_only=True)
class MastersArgs:
    """The masters' launch and the load balancers in front of them.

    Attributes:
        target_group_arns: the target groups that decide whether a master is healthy, by the load balancer's purpose.
    """

    settings: MasterSettings
    launch: NodeLaunch
    target_group_arns: Mapping[str, pulumi.Input[str]]


class Masters(Component):
    """A group of fixed size: api-server, scheduler, dag-processor and triggerer on each node.

    A node is in service once its services are up. One that stops serving is replaced. A changed launch template
    replaces all nodes in turn, and each new one serves before an old one goes.
    """

    autoscaling_group_name: pulumi.Output[str]
    launch: NodeLaunch

    def __init__(self, name: str, args: MastersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:compute:Masters", name, None, opts)
        template = launch_template(
            f"{name}-template",
            args.launch,
            instance_type=args.settings.instance_type,
            root_volume_gib=args.settings.root_volume_gib,
            opts=self.child(),
        )
        group = self._group(name, args, template)
        launching_hook(f"{name}-launching-hook", group, opts=self.child())
        for purpose, target_group_arn in args.target_group_arns.items():
            # Separate resources instead of an argument of the group: when public access is removed, the masters leave
            # its target group last, after the domain's record points elsewhere.
            aws.autoscaling.Attachment(
                f"{name}-{purpose}-targets",
                autoscaling_group_name=group.name,
                lb_target_group_arn=target_group_arn,
                opts=self.child(),
            )
        self.autoscaling_group_name = group.name
        self.launch = args.launch
        self.register_outputs({"autoscaling_group_name": self.autoscaling_group_name})

    def _group(self, name: str, args: MastersArgs, template: aws.ec2.LaunchTemplate) -> aws.autoscaling.Group:
        return autoscaling_group(
            f"{name}-group",
            args.launch,
            min_size=args.settings.count,
            max_size=args.settings.count,
            desired_capacity=args.settings.count,
            launch_template=aws.autoscaling.GroupLaunchTemplateArgs(
                id=template.id,
                # A concrete version, never "$Latest": with a name that does not change Pulumi sees no difference, and
                # no refresh would ever start.
                version=template.latest_version.apply(str),
            ),
            health_check_type="ELB",
            health_check_grace_period=HEALTH_GRACE_SECONDS,
            default_instance_warmup=WARMUP_SECONDS,
            # A node of an old template is terminated first.
            termination_policies=["OldestLaunchTemplate", "OldestInstance"],
            opts=self.child(depends_on=list(args.launch.after), ignore_changes=["initialLifecycleHooks"]),
        )
