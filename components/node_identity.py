"""What a node may do on AWS: one role per node role, with policies that name every resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.trust import assumed_by
from node.roles import SECRET_KEYS_BY_ROLE, Role

Arn = pulumi.Input[str]
Statement = dict[str, Any]

# What a node says of itself: that it is ready, still at work, done, or broken.
OWN_STATE_ACTIONS = [
    "autoscaling:CompleteLifecycleAction",
    "autoscaling:RecordLifecycleActionHeartbeat",
    "autoscaling:SetInstanceHealth",
]


@dataclass(frozen=True, kw_only=True)
class NodeIdentityArgs:
    """Whom the identity is for and which resources its policies name.

    Attributes:
        group_names: autoscaling groups whose nodes carry this identity; a `*` stands for any part of a name.
        scaled_group_names: autoscaling groups whose size the nodes decide.
        secret_arns: every secret of the cluster, by key; the role's own are picked from them.
        database_admin_secret_arn: the database's own admin secret, for the role that prepares the database.
        package_index_secret: name of the operator's secret with the credentials of the stack's package index.
    """

    role: Role
    cluster: str
    account_id: str
    region: str
    group_names: Sequence[str]
    scaled_group_names: Sequence[str] = ()
    secret_arns: Mapping[str, Arn]
    database_admin_secret_arn: Arn | None = None
    package_index_secret: str | None = None
    task_logs_arn: Arn
    dags_arn: Arn
    artifacts_arn: Arn


class NodeIdentity(pulumi.ComponentResource):
    """The IAM role and instance profile of one kind of node.

    A worker runs other people's code, and whatever runs on a node can use its identity: so a worker's identity opens
    no secret of the masters, changes neither DAGs nor artifacts, and makes no group larger.
    """

    instance_profile_arn: pulumi.Output[str]
    role_name: pulumi.Output[str]

    def __init__(self, name: str, args: NodeIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:compute:NodeIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{name}-role",
            name=_name(args),
            description=f"The {args.role} nodes of {args.cluster}",
            assume_role_policy=assumed_by("ec2"),
            opts=child,
        )
        aws.iam.RolePolicy(
            f"{name}-policy",
            role=role.name,
            policy=pulumi.Output.json_dumps(node_policy(args)),
            opts=child,
        )
        profile = aws.iam.InstanceProfile(f"{name}-profile", name=_name(args), role=role.name, opts=child)
        self.instance_profile_arn = profile.arn
        self.role_name = role.name
        self.register_outputs({"instance_profile_arn": self.instance_profile_arn, "role_name": self.role_name})


def _name(args: NodeIdentityArgs) -> str:
    """With the region: IAM's names are the account's, and clusters of one name may stand in two regions."""
    return f"{args.cluster}-{args.region}-{args.role}"


def node_policy(args: NodeIdentityArgs) -> dict[str, Any]:
    """Everything that a node of this role may do."""
    secrets = [args.secret_arns[key] for key in sorted(SECRET_KEYS_BY_ROLE[args.role])]
    if args.database_admin_secret_arn is not None:
        secrets.append(args.database_admin_secret_arn)
    if args.package_index_secret is not None:
        # Both roles install where nothing is published for them. AWS ends the ARN with six characters of its choice.
        arn = f"arn:aws:secretsmanager:{args.region}:{args.account_id}:secret:{args.package_index_secret}-??????"
        secrets.append(arn)
    return _policy(
        [
            _allow("ReadOwnSecrets", ["secretsmanager:GetSecretValue"], secrets),
            _allow("ListDags", ["s3:ListBucket"], [args.dags_arn]),
            _allow("ReadDags", ["s3:GetObject"], [_objects(args.dags_arn)]),
            # To list a bucket is what makes S3 tell that an object is not there; without it, it may not be read.
            _allow("FindArtifacts", ["s3:ListBucket"], [args.artifacts_arn]),
            _allow("ReadArtifacts", ["s3:GetObject"], [_objects(args.artifacts_arn)]),
            # Airflow appends to a log that is there already, and asks first whether it is. Nothing deletes logs but the
            # bucket's own lifecycle.
            _allow("FindTaskLogs", ["s3:ListBucket"], [args.task_logs_arn]),
            _allow("KeepTaskLogs", ["s3:GetObject", "s3:PutObject"], [_objects(args.task_logs_arn)]),
            _allow("ReportOwnState", OWN_STATE_ACTIONS, _group_arns(args, args.group_names)),
            *(_of_masters(args) if args.role is Role.MASTER else _of_workers(args)),
        ]
    )


def _of_masters(args: NodeIdentityArgs) -> list[Statement]:
    return [
        _allow("ScalePools", ["autoscaling:SetDesiredCapacity"], _group_arns(args, args.scaled_group_names)),
        # AWS grants the two for all groups of an account or for none.
        _allow("SeePools", ["autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities"], ["*"]),
        # What a master built once, other nodes unpack. The keys of the other artifacts start with their hashes.
        _allow("PublishEnvironments", ["s3:PutObject"], [pulumi.Output.concat(args.artifacts_arn, "/environments/*")]),
    ]


def _of_workers(args: NodeIdentityArgs) -> list[Statement]:
    # A worker ends itself. IAM knows no condition that would keep it from another worker of these groups.
    return [
        _allow("Leave", ["autoscaling:TerminateInstanceInAutoScalingGroup"], _group_arns(args, args.group_names)),
    ]


def _policy(statements: list[Statement]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(sid: str, actions: list[str], resources: list[Arn]) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def _objects(bucket_arn: Arn) -> pulumi.Output[str]:
    return pulumi.Output.concat(bucket_arn, "/*")


def _group_arns(args: NodeIdentityArgs, groups: Sequence[str]) -> list[Arn]:
    """The groups' names are ours; the id in front of each is AWS's choice at creation."""
    prefix = f"arn:aws:autoscaling:{args.region}:{args.account_id}:autoScalingGroup:*:autoScalingGroupName"
    return [f"{prefix}/{group}" for group in groups]
