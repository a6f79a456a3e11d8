"""One named group of Celery workers."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.alarm import metric_alarm
from components.alarm_tables.node_groups import RETAINED_WORKERS, retained_worker_alarm
from components.autoscaling_group import autoscaling_group
from components.component import Component
from components.launch_template import NodeLaunch, launch_template
from components.lifecycle_hooks import launching_hook, terminating_hook
from settings import WorkerPoolSettings

# A worker in service takes tasks: the launching hook has waited for its boot. A refresh checks it once more before it
# continues with the next.
WARMUP_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class WorkerPoolArgs:
    """The pool's settings, and how its workers are launched.

    Attributes:
        alert_topic_arn: where the alarm for retained workers is sent; nowhere if it is None.
    """

    settings: WorkerPoolSettings
    launch: NodeLaunch
    alert_topic_arn: pulumi.Input[str] | None = None


class WorkerPool(Component):
    """Workers of one kind, between the pool's minimum and maximum size. Nothing here ends a running task.

    A worker is in service once it takes tasks. Whatever terminates it, the terminating hook holds it until it reports
    that its tasks are done. A changed launch template replaces all workers in turn; busy ones run beside their
    replacements for as long as they need. A silent worker is retained and raises an alarm.
    """

    autoscaling_group_name: pulumi.Output[str]
    launch: NodeLaunch

    def __init__(self, name: str, args: WorkerPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:compute:WorkerPool", name, None, opts)
        template = launch_template(
            f"{name}-template",
            args.launch,
            root_volume_gib=args.settings.root_volume_gib,
            opts=self.child(),
        )
        alarm = metric_alarm(
            f"{name}-retained-alarm",
            retained_worker_alarm(str(args.launch.group.pool), args.launch.group_name),
            name=f"{args.launch.group_name}-retained",
            topic_arn=args.alert_topic_arn,
            opts=self.child(),
        )
        group = self._group(name, args, template, alarm)
        # AWS deletes them with their group. Pulumi would delete them first, which ends every draining worker at once:
        # https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DeleteLifecycleHook.html
        kept = self.child(retain_on_delete=True)
        launching_hook(f"{name}-launching-hook", group, opts=kept)
        heartbeat_seconds = args.settings.heartbeat_seconds
        terminating_hook(f"{name}-terminating-hook", group, heartbeat_seconds=heartbeat_seconds, opts=kept)
        self.autoscaling_group_name = group.name
        self.launch = args.launch
        self.register_outputs({"autoscaling_group_name": self.autoscaling_group_name})

    def _group(
        self,
        name: str,
        args: WorkerPoolArgs,
        template: aws.ec2.LaunchTemplate,
        alarm: aws.cloudwatch.MetricAlarm,
    ) -> aws.autoscaling.Group:
        return autoscaling_group(
            f"{name}-group",
            args.launch,
            metrics=[RETAINED_WORKERS],
            min_size=args.settings.min_size,
            max_size=args.settings.max_size,
            desired_capacity=args.settings.min_size,
            mixed_instances_policy=_instances_policy(template, args.settings),
            # A worker is moved off a spot instance that is about to be reclaimed, rather than ended with it.
            capacity_rebalance=args.settings.spot_percent > 0,
            # EC2's own checks, and reports of the node, such as that of a failed boot. A worker has no port that a load
            # balancer could check.
            health_check_type="EC2",
            # No grace period: EC2 does not count a booting node as unhealthy, and a failed boot's report must count at
            # once.
            health_check_grace_period=0,
            default_instance_warmup=WARMUP_SECONDS,
            # Workers terminate themselves, in any zone. To rebalance the zones AWS would launch one worker and drain
            # another, with or without tasks; new workers go to the emptiest zone anyway.
            suspended_processes=["AZRebalance"],
            instance_lifecycle_policy=_retain_abandoned(),
            # AWS only chooses when an operator lowers `maxSize`: idle workers terminate themselves. The newest worker
            # has had the least time to collect long tasks, so it is drained first.
            termination_policies=["OldestLaunchTemplate", "NewestInstance"],
            opts=self.child(  # The alarm is deleted after the group: it is needed most while a removed pool drains.
                depends_on=[*args.launch.after, alarm],
                # After creation the masters set the size: `pulumi up` must not reduce a busy pool to its minimum.
                ignore_changes=["desiredCapacity", "initialLifecycleHooks"],
                # A pool that is removed is gone when its last worker has drained; the provider waits ten minutes.
                custom_timeouts=pulumi.CustomTimeouts(delete=f"{args.settings.drain_limit_hours + 1}h"),
            ),
        )


def _retain_abandoned() -> aws.autoscaling.GroupInstanceLifecyclePolicyArgs:
    """Keep a worker whose drain was abandoned or timed out; its tasks may still be running."""
    return aws.autoscaling.GroupInstanceLifecyclePolicyArgs(
        retention_triggers=aws.autoscaling.GroupInstanceLifecyclePolicyRetentionTriggersArgs(
            terminate_hook_abandon="retain"
        )
    )


def _instances_policy(
    template: aws.ec2.LaunchTemplate, settings: WorkerPoolSettings
) -> aws.autoscaling.GroupMixedInstancesPolicyArgs:
    """On demand: the first type, in the order of the stack file, that the zone has. Spot: a cheap type that is unlikely
    to be reclaimed."""
    policy = aws.autoscaling
    return policy.GroupMixedInstancesPolicyArgs(
        instances_distribution=policy.GroupMixedInstancesPolicyInstancesDistributionArgs(
            on_demand_allocation_strategy="prioritized",
            on_demand_base_capacity=settings.on_demand_base,
            on_demand_percentage_above_base_capacity=100 - settings.spot_percent,
            spot_allocation_strategy="price-capacity-optimized",
        ),
        launch_template=policy.GroupMixedInstancesPolicyLaunchTemplateArgs(
            launch_template_specification=policy.GroupMixedInstancesPolicyLaunchTemplateLaunchTemplateSpecificationArgs(
                launch_template_id=template.id,
                # A concrete version, never "$Latest": the plan has to show what a pool runs.
                version=template.latest_version.apply(str),
            ),
            overrides=[
                policy.GroupMixedInstancesPolicyLaunchTemplateOverrideArgs(instance_type=instance_type)
                for instance_type in settings.instance_types
            ],
        ),
    )
