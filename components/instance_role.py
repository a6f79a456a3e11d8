"""The IAM role and instance profile of a group of nodes, with a policy that names every resource."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from aws_catalog import limits
from components.component import Component
from components.context import Context
from components.iam_documents import Statement, allow, document, trust_policy
from node.roles import EVERY_WORKER_POOL, NodeGroup, Permission

Arn = pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class InstanceRoleArgs:
    """The nodes that have the role, and the resources that its policy names.

    Attributes:
        secret_arns: every secret of the cluster, by key; the policy allows those that the nodes' services read.
        database_admin_secret_arn: the admin's secret, which RDS manages.
        operator_secrets: names of the secrets that the operator creates and that every node reads.
        bucket_arns: the buckets that nodes use, by purpose.
        monitor_arns: what a monitor also uses, by the name in its permissions: the volume that it attaches, the
            topics to which it publishes and their key. A permission for none of them is left out.
    """

    group: NodeGroup
    context: Context
    secret_arns: Mapping[str, Arn]
    database_admin_secret_arn: Arn
    operator_secrets: Sequence[str] = ()
    bucket_arns: Mapping[str, Arn]
    monitor_arns: Mapping[str, Sequence[Arn]] = field(default_factory=dict)


class InstanceRole(Component):
    """The IAM role and instance profile of one group of nodes.

    Anything that runs on a node can use its role, and a worker runs the code of DAG authors. A worker's role therefore
    cannot read the masters' secrets or the connections of DAGs, change DAGs or artifacts, make a group larger, or
    terminate nodes outside of its own pool. What DAGs need on AWS is in policies that an operator attaches to the role.
    """

    instance_profile_arn: pulumi.Output[str]
    role_name: pulumi.Output[str]

    def __init__(self, name: str, args: InstanceRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:compute:NodeIdentity", name, None, opts)
        role = aws.iam.Role(
            f"{name}-role",
            name=role_name(args.context.cluster, args.context.region, args.group),
            description=f"The nodes of {args.group.name(args.context.cluster)}",
            assume_role_policy=trust_policy("ec2"),
            # Operators attach policies for what DAGs need. IAM deletes no role that still has one.
            force_detach_policies=True,
            opts=self.child(),
        )
        aws.iam.RolePolicy(
            f"{name}-policy",
            role=role.name,
            policy=pulumi.Output.json_dumps(node_policy(args)),
            opts=self.child(),
        )
        profile = aws.iam.InstanceProfile(f"{name}-profile", name=role.name, role=role.name, opts=self.child())
        self.instance_profile_arn = profile.arn
        self.role_name = role.name
        self.register_outputs({"instance_profile_arn": self.instance_profile_arn, "role_name": self.role_name})


def role_name(cluster: str, region: str, group: NodeGroup) -> str:
    """The name of the group's IAM role. It contains the region, because IAM names are unique per account, and clusters
    of the same name may exist in two regions. If the name exceeds IAM's limit, a hash replaces its end."""
    name = f"{cluster}-{region}-{group.iam_name}"
    if len(name) <= limits.ROLE_NAME_LENGTH:
        return name
    digest = f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name[: limits.ROLE_NAME_LENGTH - len(digest)] + digest


def node_policy(args: InstanceRoleArgs) -> dict[str, Any]:
    """Everything that a node of the group may do."""
    secrets = _secrets(args)
    return document(
        [
            *([allow(["secretsmanager:GetSecretValue"], secrets, sid="ReadOwnSecrets")] if secrets else []),
            *(
                statement
                for permission in args.group.role.definition.permissions
                for statement in _statements(args, permission)
            ),
        ]
    )


def _secrets(args: InstanceRoleArgs) -> list[Arn]:
    keys = args.group.role.definition.secret_keys
    arns = [args.secret_arns[key] for key in sorted(keys)]
    if "database-admin" in keys:
        # That secret holds the ARN of this one, which has the password.
        arns.append(args.database_admin_secret_arn)
    if args.group.role.definition.runs_airflow:
        # The ARN of a secret ends in six random characters.
        arns.extend(args.context.arn("secretsmanager", f"secret:{name}-??????") for name in args.operator_secrets)
    return arns


def _statements(args: InstanceRoleArgs, permission: Permission) -> list[Statement]:
    if permission.resource in args.monitor_arns:
        arns = list(args.monitor_arns[permission.resource])
        return [allow(list(permission.actions), arns, sid=permission.sid)] if arns else []
    resource, condition = _resource(args, permission.resource)
    return [allow(list(permission.actions), [resource], sid=permission.sid, condition=condition)]


def _resource(args: InstanceRoleArgs, resource: str) -> tuple[Arn, Mapping[str, Any] | None]:
    """The ARN of a permission's resource, and the condition under which it may be used."""
    if resource == "*":
        return "*", None
    if resource == "own-group":
        return _group_arn(args, args.group), None
    if resource == "worker-groups":
        # The name alone would also match groups of a cluster whose name starts with ours.
        tags = {"airflow:cluster": args.context.cluster, "airflow:role": EVERY_WORKER_POOL.role}
        condition = {f"autoscaling:ResourceTag/{key}": value for key, value in tags.items()}
        return _group_arn(args, EVERY_WORKER_POOL), {"StringEquals": condition}
    if resource == "own-instances":
        tags = {"airflow:cluster": args.context.cluster, "airflow:role": args.group.role}
        return args.context.arn("ec2", "instance/*"), {
            "StringEquals": {f"ec2:ResourceTag/{key}": value for key, value in tags.items()}
        }
    if resource.startswith("secret:"):
        # Without the six characters that end each ARN: for a secret that does not exist, IAM compares its name alone.
        names = f"{args.context.cluster}/{resource.removeprefix('secret:')}"
        return args.context.arn("secretsmanager", f"secret:{names}"), None
    bucket, slash, objects = resource.partition("/")
    arn = args.bucket_arns[bucket]
    # The name of a bucket can be guessed, and after its deletion any account can take the name: nodes must not write
    # logs to such a bucket, or read DAGs from it.
    return (
        pulumi.Output.concat(arn, slash, objects) if objects else arn,
        {"StringEquals": {"aws:ResourceAccount": args.context.account_id}},
    )


def _group_arn(args: InstanceRoleArgs, group: NodeGroup) -> str:
    """The groups' names are ours; the id in front of each is AWS's choice at creation."""
    name = group.name(args.context.cluster)
    return args.context.arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{name}")
