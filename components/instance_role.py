"""What a node may do on AWS: a role for the masters and one for each pool, with policies that name every resource."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from aws_catalog import limits
from components.iam_documents import assumed_by
from node.naming import masters_group_name, pool_group_name
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
class InstanceRoleArgs:
    """Whom the identity is for and which resources its policies name.

    Attributes:
        pool: the pool whose workers use it; None for the masters.
        secret_arns: every secret of the cluster, by key; the role's own are picked from them.
        database_admin_secret_arn: the admin secret that RDS manages, for the masters, which prepare the database.
        package_index_secret: name of the operator's secret with the credentials of the stack's package index.
    """

    pool: str | None
    cluster: str
    account_id: str
    region: str
    secret_arns: Mapping[str, Arn]
    database_admin_secret_arn: Arn
    package_index_secret: str | None = None
    task_logs_arn: Arn
    dags_arn: Arn
    artifacts_arn: Arn

    @property
    def group_name(self) -> str:
        """The autoscaling group whose nodes use the identity."""
        return pool_group_name(self.cluster, self.pool) if self.pool else masters_group_name(self.cluster)


class InstanceRole(pulumi.ComponentResource):
    """The IAM role and instance profile of one group of nodes.

    A worker runs other people's code, and whatever runs on a node can use its identity. A worker's identity therefore
    cannot read the masters' secrets, change DAGs or artifacts, make a group larger, or terminate nodes outside of its
    own pool.
    """

    instance_profile_arn: pulumi.Output[str]
    role_name: pulumi.Output[str]

    def __init__(self, name: str, args: InstanceRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:compute:NodeIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{name}-role",
            name=role_name(args.cluster, args.region, args.pool),
            description=f"The nodes of {args.group_name}",
            assume_role_policy=assumed_by("ec2"),
            opts=child,
        )
        aws.iam.RolePolicy(
            f"{name}-policy",
            role=role.name,
            policy=pulumi.Output.json_dumps(node_policy(args)),
            opts=child,
        )
        profile = aws.iam.InstanceProfile(f"{name}-profile", name=role.name, role=role.name, opts=child)
        self.instance_profile_arn = profile.arn
        self.role_name = role.name
        self.register_outputs({"instance_profile_arn": self.instance_profile_arn, "role_name": self.role_name})


def role_name(cluster: str, region: str, pool: str | None) -> str:
    """The name of the IAM role of a pool's workers, or of the masters. It contains the region, because IAM names are
    unique per account, and clusters of the same name may exist in two regions. If the name exceeds IAM's limit, a hash
    replaces its end."""
    name = f"{cluster}-{region}-pool-{pool}" if pool else f"{cluster}-{region}-master"
    if len(name) <= limits.ROLE_NAME_LENGTH:
        return name
    digest = f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name[: limits.ROLE_NAME_LENGTH - len(digest)] + digest


def node_policy(args: InstanceRoleArgs) -> dict[str, Any]:
    """Everything that a node of this identity may do."""
    role = Role.WORKER if args.pool else Role.MASTER
    secrets = [args.secret_arns[key] for key in sorted(SECRET_KEYS_BY_ROLE[role])]
    if role is Role.MASTER:
        secrets.append(args.database_admin_secret_arn)
    if args.package_index_secret is not None:
        # A node of either role installs packages itself if no environment has been published yet. The ARN of a secret
        # ends in six random characters.
        arn = f"arn:aws:secretsmanager:{args.region}:{args.account_id}:secret:{args.package_index_secret}-??????"
        secrets.append(arn)
    return _policy(
        [
            _allow("ReadOwnSecrets", ["secretsmanager:GetSecretValue"], secrets),
            _on_s3(args, "ListDags", ["s3:ListBucket"], args.dags_arn),
            _on_s3(args, "ReadDags", ["s3:GetObject"], _objects(args.dags_arn)),
            # To list a bucket is what makes S3 tell that an object is not there; without it, it may not be read.
            _on_s3(args, "FindArtifacts", ["s3:ListBucket"], args.artifacts_arn),
            _on_s3(args, "ReadArtifacts", ["s3:GetObject"], _objects(args.artifacts_arn)),
            # Airflow appends to a log that is there already, and asks first whether it is. Nothing deletes logs but the
            # bucket's own lifecycle.
            _on_s3(args, "FindTaskLogs", ["s3:ListBucket"], args.task_logs_arn),
            _on_s3(args, "KeepTaskLogs", ["s3:GetObject", "s3:PutObject"], _objects(args.task_logs_arn)),
            _allow("ReportOwnState", OWN_STATE_ACTIONS, [_group_arn(args, args.group_name)]),
            *(_of_workers(args) if args.pool else _of_masters(args)),
        ]
    )


def _of_masters(args: InstanceRoleArgs) -> list[Statement]:
    return [
        # One statement for any number of pools, because the size of inline policies is limited. It checks tags, because
        # the name alone would also match groups of a cluster whose name starts with ours.
        _allow(
            "ScalePools",
            ["autoscaling:SetDesiredCapacity"],
            [_group_arn(args, pool_group_name(args.cluster, "*"))],
            condition={
                "StringEquals": {
                    "autoscaling:ResourceTag/airflow:cluster": args.cluster,
                    "autoscaling:ResourceTag/airflow:role": Role.WORKER,
                }
            },
        ),
        # AWS grants the two for all groups of an account or for none.
        _allow("SeePools", ["autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities"], ["*"]),
        # What a master built once, other nodes unpack. The keys of the other artifacts start with their hashes.
        _on_s3(
            args, "PublishEnvironments", ["s3:PutObject"], pulumi.Output.concat(args.artifacts_arn, "/environments/*")
        ),
    ]


def _of_workers(args: InstanceRoleArgs) -> list[Statement]:
    # A worker terminates itself. IAM has no condition that would keep it from terminating other workers of its group.
    return [
        _allow("Leave", ["autoscaling:TerminateInstanceInAutoScalingGroup"], [_group_arn(args, args.group_name)]),
    ]


def _policy(statements: list[Statement]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(
    sid: str, actions: list[str], resources: list[Arn], *, condition: Mapping[str, Any] | None = None
) -> Statement:
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement


def _on_s3(args: InstanceRoleArgs, sid: str, actions: list[str], resource: Arn) -> Statement:
    """Only in buckets of our account. The name of a bucket can be guessed, and after its deletion any account can take
    the name: nodes must not write logs to such a bucket, or read DAGs from it."""
    return _allow(sid, actions, [resource], condition={"StringEquals": {"aws:ResourceAccount": args.account_id}})


def _objects(bucket_arn: Arn) -> pulumi.Output[str]:
    return pulumi.Output.concat(bucket_arn, "/*")


def _group_arn(args: InstanceRoleArgs, name: str) -> str:
    """The groups' names are ours; the id in front of each is AWS's choice at creation."""
    return f"arn:aws:autoscaling:{args.region}:{args.account_id}:autoScalingGroup:*:autoScalingGroupName/{name}"
