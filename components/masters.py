"""The nodes that run Airflow's own services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.node_template import GROUP_METRICS, group_tags, launch_template, node_tags
from node.cluster_names import masters_group_name
from settings import MasterSettings

# A master's first boot installs Airflow, waits its turn for the database step and starts four services at once. Minutes
# are normal; a verdict of the load balancer before that would replace a node that is merely young. A boot that fails
# does not wait for this: the node reports itself unhealthy. A migration that may take longer, of a database of years,
# needs the group's HealthCheck process suspended meanwhile.
HEALTH_GRACE_SECONDS = 900

# A refresh goes on to the next node this long after a launch. It must outlast the grace period: only then has the load
# balancer's verdict counted once, and a template whose nodes never serve stops the refresh before the old nodes go.
WARMUP_SECONDS = HEALTH_GRACE_SECONDS + 60

# Launch before terminate. AWS rounds the upper bound up, so one node more than `count` for groups of up to ten. With
# one master there is no gap either: tasks lose their heartbeats, and fail, when no api-server answers for minutes.
MIN_HEALTHY_PERCENT = 100
MAX_HEALTHY_PERCENT = 110


@dataclass(frozen=True, kw_only=True)
class MastersArgs:
    """What the masters are made of.

    Attributes:
        image_id: AMI id, or a `resolve:ssm:` name that EC2 resolves at launch.
        user_data: base64, as EC2 takes it. A change replaces the nodes, one after the other.
        target_group_arns: the target groups that decide whether a master is healthy.
        tags: the stack's tags; the nodes' own are added.
        after: what a booting master needs and no input mentions, such as the values of its secrets.
    """

    cluster: str
    settings: MasterSettings
    image_id: str
    user_data: str
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    instance_profile_arn: pulumi.Input[str]
    target_group_arns: Sequence[pulumi.Input[str]]
    tags: Mapping[str, str]
    after: Sequence[pulumi.Resource]


class Masters(pulumi.ComponentResource):
    """A group of fixed size: api-server, scheduler, dag-processor and triggerer on each node.

    A node that stops serving is replaced. A changed launch template replaces all nodes in turn, and each new one serves
    before an old one goes.
    """

    autoscaling_group_name: pulumi.Output[str]

    def __init__(self, name: str, args: MastersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:compute:Masters", name, None, opts)
        tags = node_tags(args.tags, cluster=args.cluster, role="master")
        template = launch_template(
            f"{name}-template",
            instance_type=args.settings.instance_type,
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
        self, name: str, args: MastersArgs, template: aws.ec2.LaunchTemplate, tags: Mapping[str, str]
    ) -> aws.autoscaling.Group:
        return aws.autoscaling.Group(
            f"{name}-group",
            name=masters_group_name(args.cluster),
            min_size=args.settings.count,
            max_size=args.settings.count,
            desired_capacity=args.settings.count,
            vpc_zone_identifiers=args.subnet_ids,
            launch_template=aws.autoscaling.GroupLaunchTemplateArgs(
                id=template.id,
                # A concrete version, never "$Latest": with a name that does not change Pulumi sees no difference, and
                # no refresh would ever start.
                version=template.latest_version.apply(str),
            ),
            target_group_arns=args.target_group_arns,
            health_check_type="ELB",
            health_check_grace_period=HEALTH_GRACE_SECONDS,
            default_instance_warmup=WARMUP_SECONDS,
            instance_maintenance_policy=aws.autoscaling.GroupInstanceMaintenancePolicyArgs(
                min_healthy_percentage=MIN_HEALTHY_PERCENT,
                max_healthy_percentage=MAX_HEALTHY_PERCENT,
            ),
            instance_refresh=_rolling_refresh(),
            # A node of an old template goes first, whatever else would make it the group's choice.
            termination_policies=["OldestLaunchTemplate", "OldestInstance"],
            # "0" = do not wait. Boots take minutes, and a node that fails is replaced until it does not: `pulumi up`
            # would hang for ten minutes and then mark a group as broken that heals itself.
            wait_for_capacity_timeout="0",
            enabled_metrics=GROUP_METRICS,
            tags=group_tags(tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
        )


def _rolling_refresh() -> aws.autoscaling.GroupInstanceRefreshArgs:
    """Replace the nodes when the launch template changes; the provider starts it on its own for that property.

    No automatic rollback: AWS refuses it for templates that name their image by a public parameter.
    """
    return aws.autoscaling.GroupInstanceRefreshArgs(
        strategy="Rolling",
        preferences=aws.autoscaling.GroupInstanceRefreshPreferencesArgs(
            # Said again although the group's maintenance policy has them: the provider sends 90 and 100 when absent.
            min_healthy_percentage=MIN_HEALTHY_PERCENT,
            max_healthy_percentage=MAX_HEALTHY_PERCENT,
            # A refresh that follows a cancelled one leaves alone what the first has replaced already.
            skip_matching=True,
        ),
    )
