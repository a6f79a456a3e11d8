"""What the groups of nodes share: how nodes are launched, the tags and the metrics, whatever the role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

# The root device of Debian's images, for both architectures. Another name would add a second disk beside the root disk.
ROOT_DEVICE = "/dev/xvda"

# The kinds of resource that EC2 makes from a template and that the provider's default tags never reach.
TAGGED_AT_LAUNCH = ("instance", "volume")

# Free of charge, and off unless asked for: without them nobody can see how long a group was short of nodes.
GROUP_METRICS = (
    aws.autoscaling.Metric.GROUP_MIN_SIZE,
    aws.autoscaling.Metric.GROUP_MAX_SIZE,
    aws.autoscaling.Metric.GROUP_DESIRED_CAPACITY,
    aws.autoscaling.Metric.GROUP_IN_SERVICE_INSTANCES,
    aws.autoscaling.Metric.GROUP_PENDING_INSTANCES,
    aws.autoscaling.Metric.GROUP_TERMINATING_INSTANCES,
    aws.autoscaling.Metric.GROUP_TOTAL_INSTANCES,
)


# Launch before terminate. AWS rounds the upper bound up, so one node more than there are for groups of up to ten.
MIN_HEALTHY_PERCENT = 100
MAX_HEALTHY_PERCENT = 110


@dataclass(frozen=True, kw_only=True)
class NodeLaunch:
    """How the nodes of a group come to be, whatever their role.

    Attributes:
        image_id: AMI id, or an alias: `resolve:ssm:` and the name of a public parameter, resolved at each launch.
        user_data: base64, as EC2 takes it. A change replaces the nodes, one after the other.
        tags: on the group, its instances and their volumes; the stack's and the nodes' own.
        secret_versions: the current version of each secret that the node's services read at boot, by the secret's key.
            They are tags of the instances, so that a new value changes the launch template and replaces the nodes.
        after: resources that a node needs although no input refers to them, such as the values of its secrets; they are
            created before the group and deleted after it.
    """

    image_id: str
    user_data: str
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    instance_profile_arn: pulumi.Input[str]
    tags: Mapping[str, str]
    secret_versions: Mapping[str, pulumi.Input[str]]
    after: Sequence[pulumi.Resource]

    @property
    def skip_matching(self) -> bool:
        """Whether a refresh skips nodes that already match the group's template and instance types.

        AWS does not support this for a template whose image is an alias; a refresh then replaces every node of the
        group: https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
        """
        return not self.image_id.startswith("resolve:ssm:")


def node_tags(tags: Mapping[str, str], *, cluster: str, role: str, pool: str | None = None) -> dict[str, str]:
    """The stack's tags, and those by which a person finds a node in the console."""
    parts = [cluster, role] + ([pool] if pool else [])
    return {
        **tags,
        "Name": "-".join(parts),
        "airflow:cluster": cluster,
        "airflow:role": role,
        **({"airflow:pool": pool} if pool else {}),
    }


def group_tags(tags: Mapping[str, str]) -> list[aws.autoscaling.GroupTagArgs]:
    """The tags of a group itself: an autoscaling group is the one resource that the provider's default tags pass by."""
    return [
        aws.autoscaling.GroupTagArgs(key=key, value=value, propagate_at_launch=True)
        for key, value in sorted(tags.items())
    ]


def launch_template(
    name: str,
    launch: NodeLaunch,
    *,
    instance_type: str | None = None,
    root_volume_gib: int,
    opts: pulumi.ResourceOptions,
) -> aws.ec2.LaunchTemplate:
    """Register the template of a group's nodes.

    Omit `instance_type` for a group with a mixed instances policy, which has the types: a change of its types then
    changes no template and replaces no matching node:
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/advanced-settings-for-your-launch-template.html
    """
    return aws.ec2.LaunchTemplate(
        name,
        image_id=launch.image_id,
        instance_type=instance_type,
        user_data=launch.user_data,
        iam_instance_profile=aws.ec2.LaunchTemplateIamInstanceProfileArgs(arn=launch.instance_profile_arn),
        # A node that powers itself off is finished: it must not linger as a stopped instance with a paid disk.
        instance_initiated_shutdown_behavior="terminate",
        metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint="enabled",
            http_tokens="required",
            # One hop: a container that a task starts cannot borrow the node's role.
            http_put_response_hop_limit=1,
        ),
        monitoring=aws.ec2.LaunchTemplateMonitoringArgs(enabled=True),
        block_device_mappings=[_root_volume(root_volume_gib)],
        network_interfaces=[
            aws.ec2.LaunchTemplateNetworkInterfaceArgs(
                device_index=0,
                # Said here and not left to the subnet: an existing network's subnets may hand out public addresses.
                associate_public_ip_address="false",
                delete_on_termination="true",
                security_groups=[launch.security_group_id],
            )
        ],
        tag_specifications=[
            aws.ec2.LaunchTemplateTagSpecificationArgs(
                resource_type=kind, tags={**launch.tags, **(_secret_tags(launch) if kind == "instance" else {})}
            )
            for kind in TAGGED_AT_LAUNCH
        ],
        opts=opts,
    )


def maintenance_policy() -> aws.autoscaling.GroupInstanceMaintenancePolicyArgs:
    """Launch before terminate, whatever makes AWS replace a node."""
    return aws.autoscaling.GroupInstanceMaintenancePolicyArgs(
        min_healthy_percentage=MIN_HEALTHY_PERCENT, max_healthy_percentage=MAX_HEALTHY_PERCENT
    )


def rolling_refresh(launch: NodeLaunch) -> aws.autoscaling.GroupInstanceRefreshArgs:
    """How nodes are replaced; the provider starts a refresh when the launch template or mixed instances policy changes.

    No automatic rollback: the provider changes the group before it starts the refresh, so there would be nothing to
    roll back to (https://github.com/hashicorp/terraform-provider-aws/issues/34189).
    """
    return aws.autoscaling.GroupInstanceRefreshArgs(
        strategy="Rolling",
        preferences=aws.autoscaling.GroupInstanceRefreshPreferencesArgs(
            # Said again although the group's maintenance policy has them: the provider sends 90 and 100 when absent.
            min_healthy_percentage=MIN_HEALTHY_PERCENT,
            max_healthy_percentage=MAX_HEALTHY_PERCENT,
            skip_matching=launch.skip_matching,
        ),
    )


def list_nodes_command(cluster: str, region: str) -> str:
    """Lists the running nodes with their images and launch times, oldest first."""
    columns = "{name: Tags[?Key==`Name`] | [0].Value, id: InstanceId, image: ImageId, launched: LaunchTime}"
    return (
        f"aws ec2 describe-instances --region {region} --filters Name=tag:airflow:cluster,Values={cluster}"
        " Name=instance-state-name,Values=running --output table"
        f" --query 'sort_by(Reservations[].Instances[].{columns}, &launched)'"
    )


def watch_refresh_command(group_name: pulumi.Output[str], region: str) -> pulumi.Output[str]:
    """Shows the progress of the group's last refresh: `pulumi up` does not wait for one."""
    return pulumi.Output.concat(
        "aws autoscaling describe-instance-refreshes --auto-scaling-group-name ",
        group_name,
        f" --region {region} --max-records 1",
    )


def refresh_command(group_name: pulumi.Output[str], region: str, launch: NodeLaunch) -> pulumi.Output[str]:
    """Starts a refresh as the program does: neither AWS nor `pulumi up` retries one that failed."""
    return pulumi.Output.concat(
        "aws autoscaling start-instance-refresh --auto-scaling-group-name ",
        group_name,
        f" --region {region} --preferences MinHealthyPercentage={MIN_HEALTHY_PERCENT},"
        f"MaxHealthyPercentage={MAX_HEALTHY_PERCENT},SkipMatching={str(launch.skip_matching).lower()}",
    )


def _secret_tags(launch: NodeLaunch) -> dict[str, pulumi.Input[str]]:
    """Not in the user data, which depends on settings alone. A version's id is not secret and reveals nothing about the
    value."""
    return {f"airflow:secret:{key}": version for key, version in sorted(launch.secret_versions.items())}


def _root_volume(size_gib: int) -> aws.ec2.LaunchTemplateBlockDeviceMappingArgs:
    return aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
        device_name=ROOT_DEVICE,
        ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
            volume_type="gp3",
            volume_size=size_gib,
            encrypted="true",
            delete_on_termination="true",
        ),
    )
