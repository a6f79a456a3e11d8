"""How nodes of any role are launched: the launch template and its tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from node.roles import NodeGroup

# The root device of Debian's images, for both architectures. Another name would add a second disk beside the root disk.
ROOT_DEVICE = "/dev/xvda"

# Resources that EC2 creates from a template; the provider's default tags do not reach them.
TAGGED_AT_LAUNCH = ("instance", "volume")


@dataclass(frozen=True, kw_only=True)
class NodeLaunch:
    """How the nodes of a group are launched.

    Attributes:
        group_name: the physical name of the autoscaling group.
        image_id: AMI id, or an alias: `resolve:ssm:` and the name of a public parameter, resolved at each launch.
        user_data: in base64, as EC2 expects it. A change replaces the nodes, one after the other.
        tags: of the group, its instances and their volumes: the stack's and `node_tags`.
        secret_versions: the current version of each secret that the node's services read at boot, by the secret's key.
            They are tags of the instances, so that a new value changes the launch template and replaces the nodes.
        after: resources that a node needs although no input refers to them, such as the values of its secrets; they are
            created before the group and deleted after it.
    """

    group: NodeGroup
    group_name: str
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


def node_tags(tags: Mapping[str, str], cluster: str, group: NodeGroup) -> dict[str, str]:
    """The stack's tags, and those by which a person finds a node in the console."""
    pool = {} if group.pool is None else {"airflow:pool": group.pool}
    return {
        **tags,
        "Name": "-".join([cluster, group.role, *pool.values()]),
        "airflow:cluster": cluster,
        "airflow:role": group.role.value,
        **pool,
    }


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
        # A node that powers itself off is no longer needed: if it were only stopped, its disk would still cost money.
        instance_initiated_shutdown_behavior="terminate",
        metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint="enabled",
            http_tokens="required",
            # One hop: containers that tasks start cannot use the node's role.
            http_put_response_hop_limit=1,
        ),
        monitoring=aws.ec2.LaunchTemplateMonitoringArgs(enabled=True),
        block_device_mappings=[_root_volume(root_volume_gib)],
        network_interfaces=[
            aws.ec2.LaunchTemplateNetworkInterfaceArgs(
                device_index=0,
                # Set here because the subnets of an existing network may assign public addresses.
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
