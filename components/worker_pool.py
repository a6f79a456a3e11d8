"""One named group of Celery workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.node_template import GROUP_METRICS, group_tags, launch_template, node_tags
from node.cluster_names import pool_group_name
from settings import WorkerPoolSettings

# From launch to the moment when a worker takes tasks: image boot, installation, service start.
WARMUP_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class WorkerPoolArgs:
    """What one pool is made of.

    Attributes:
        pool: the pool's key in the stack file; part of its group's name.
        image_id: AMI id, or a `resolve:ssm:` name that EC2 resolves at launch.
        user_data: base64, as EC2 takes it. A change reaches nodes that are launched after it.
        tags: the stack's tags; the nodes' own are added.
        after: what a booting worker needs and no input mentions, such as the values of its secrets.
    """

    cluster: str
    pool: str
    settings: WorkerPoolSettings
    image_id: str
    user_data: str
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    instance_profile_arn: pulumi.Input[str]
    tags: Mapping[str, str]
    after: Sequence[pulumi.Resource]


class WorkerPool(pulumi.ComponentResource):
    """Workers of one kind, between the pool's bounds; nothing in here ends a worker that may be running tasks.

    For that reason there is no instance refresh and no zone rebalancing: both end nodes without asking, and EC2
    promises a node no time to shut down, however long its units would wait for their tasks. A changed launch template
    is used by the nodes launched after the change; the older ones are the first to go when the pool shrinks, and
    `aws autoscaling start-instance-refresh` replaces them at an hour of the operator's choice.
    """

    autoscaling_group_name: pulumi.Output[str]

    def __init__(self, name: str, args: WorkerPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:compute:WorkerPool", name, None, opts)
        tags = node_tags(args.tags, cluster=args.cluster, role="worker", pool=args.pool)
        template = launch_template(
            f"{name}-template",
            instance_type=args.settings.instance_types[0],
            image_id=args.image_id,
            root_volume_gib=args.settings.root_volume_gib,
            user_data=args.user_data,
            security_group_id=args.security_group_id,
            instance_profile_arn=args.instance_profile_arn,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        group = self._group(name, args, template, tags)
        self.autoscaling_group_name = group.name
        self.register_outputs({"autoscaling_group_name": self.autoscaling_group_name})

    def _group(
        self, name: str, args: WorkerPoolArgs, template: aws.ec2.LaunchTemplate, tags: Mapping[str, str]
    ) -> aws.autoscaling.Group:
        return aws.autoscaling.Group(
            f"{name}-group",
            name=pool_group_name(args.cluster, args.pool),
            min_size=args.settings.min_size,
            max_size=args.settings.max_size,
            desired_capacity=args.settings.min_size,
            vpc_zone_identifiers=args.subnet_ids,
            mixed_instances_policy=_on_demand(template, args.settings.instance_types),
            # EC2's own checks, and the node's word: a boot that fails reports itself. Nothing listens on a worker that
            # a load balancer could ask.
            health_check_type="EC2",
            # No grace: a booting node is not unhealthy for EC2, and a failed boot's report must count at once.
            health_check_grace_period=0,
            default_instance_warmup=WARMUP_SECONDS,
            suspended_processes=["AZRebalance"],
            termination_policies=["OldestLaunchTemplate", "OldestInstance"],
            # "0" = do not wait: see the masters' group. Here the size is not Pulumi's business either.
            wait_for_capacity_timeout="0",
            enabled_metrics=GROUP_METRICS,
            tags=group_tags(tags),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(args.after),
                # After creation the size belongs to scaling: `pulumi up` must not send a busy pool back to its minimum.
                ignore_changes=["desiredCapacity"],
            ),
        )


def _on_demand(
    template: aws.ec2.LaunchTemplate, instance_types: Sequence[str]
) -> aws.autoscaling.GroupMixedInstancesPolicyArgs:
    """On-demand nodes of the first type that the zone can give, in the order of the stack file."""
    policy = aws.autoscaling
    return policy.GroupMixedInstancesPolicyArgs(
        instances_distribution=policy.GroupMixedInstancesPolicyInstancesDistributionArgs(
            on_demand_allocation_strategy="prioritized",
            on_demand_percentage_above_base_capacity=100,
        ),
        launch_template=policy.GroupMixedInstancesPolicyLaunchTemplateArgs(
            launch_template_specification=policy.GroupMixedInstancesPolicyLaunchTemplateLaunchTemplateSpecificationArgs(
                launch_template_id=template.id,
                # A concrete version, never "$Latest": what a pool runs must be readable from the plan.
                version=template.latest_version.apply(str),
            ),
            overrides=[
                policy.GroupMixedInstancesPolicyLaunchTemplateOverrideArgs(instance_type=instance_type)
                for instance_type in instance_types
            ],
        ),
    )
