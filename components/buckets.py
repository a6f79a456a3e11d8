"""The S3 buckets: task logs, DAGs, the nodes' artifacts, and the load balancers' access logs."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.component import Component
from components.context import Context
from components.iam_documents import allow, deny, document
from node.artifacts import Artifact
from node.naming import POOL_LOCKS, bucket_name

NONCURRENT_DAYS = 30
"""Days for which an overwritten or deleted object can be restored."""

# For task logs that are rewritten many times (docs/adr/0026). S3 counts whole days, and keeps at most 100 versions.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_NoncurrentVersionExpiration.html
SURPLUS_DAYS = 1
NEWEST_VERSIONS = 10

ABANDONED_UPLOAD_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class BucketsArgs:
    """What the buckets are for.

    Attributes:
        artifacts: the objects that nodes fetch.
        pool_locks: those of them from which masters build environments for worker pools.
    """

    context: Context
    artifacts: Sequence[Artifact]
    pool_locks: Sequence[Artifact] = ()


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """What other components need to know of a bucket."""

    name: str
    """Known before the bucket is created, so that user data can contain it."""
    arn: pulumi.Output[str]
    name_with_policy: pulumi.Output[str]
    """The same name, but unknown until the bucket's policy is attached: for services that first test their access."""


@dataclass(frozen=True, kw_only=True)
class _Purpose:
    """What a bucket is for, and how long its objects are kept."""

    suffix: str
    keep_days: int | None
    """Days after which objects expire; None if they never expire."""
    versioned: bool
    """Whether overwritten and deleted objects can be restored."""
    rewritten: bool = False
    """Whether objects are overwritten regularly; then only the newest versions of each are kept for long."""
    stateful: bool
    """Whether the bucket holds data that cannot be recreated."""


class Buckets(Component):
    """Four private, encrypted buckets that refuse requests without TLS.

    If the stack protects its data, Pulumi refuses to delete the buckets of task logs and DAGs, and AWS refuses to
    delete any bucket that is not empty. Otherwise a bucket is emptied when it is deleted.
    """

    task_logs: Bucket
    dags: Bucket
    artifacts: Bucket
    access_logs: Bucket

    def __init__(self, name: str, args: BucketsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:data:Buckets", name, None, opts)
        retention = args.context.retention
        self.task_logs = self._bucket(
            name,
            args,
            _Purpose(
                suffix="task-logs", keep_days=retention.task_logs_days, versioned=True, rewritten=True, stateful=True
            ),
        )
        self.dags = self._bucket(name, args, _Purpose(suffix="dags", keep_days=None, versioned=True, stateful=True))
        self.artifacts = self._bucket(
            name, args, _Purpose(suffix="artifacts", keep_days=None, versioned=True, stateful=False)
        )
        # Not versioned: each log file has a unique name and is written once.
        self.access_logs = self._bucket(
            name,
            args,
            _Purpose(suffix="access-logs", keep_days=retention.access_logs_days, versioned=False, stateful=False),
        )
        for artifact in args.artifacts:
            self._artifact(name, artifact)
        if args.pool_locks:
            self._pool_locks(name, args.pool_locks)
        self.register_outputs({"task_logs": self.task_logs.name, "dags": self.dags.name})

    @property
    def arns(self) -> dict[str, pulumi.Output[str]]:
        """The buckets that nodes use, by purpose."""
        return {"task-logs": self.task_logs.arn, "dags": self.dags.arn, "artifacts": self.artifacts.arn}

    def _bucket(self, name: str, args: BucketsArgs, purpose: _Purpose) -> Bucket:
        label = f"{name}-{purpose.suffix}"
        physical_name = bucket_name(args.context.cluster, args.context.account_id, args.context.region, purpose.suffix)
        bucket = aws.s3.Bucket(
            label,
            bucket=physical_name,
            force_destroy=not args.context.protect,
            opts=self.child(protect=args.context.protect and purpose.stateful),
        )
        self._encrypt(label, bucket)
        versioning = self._keep_versions(label, bucket) if purpose.versioned else None
        self._expire(label, bucket, purpose, versioning)
        policy = self._close(label, bucket, bucket_policy(physical_name, purpose.suffix, args.context.account_id))
        return Bucket(name=physical_name, arn=bucket.arn, name_with_policy=policy.bucket)

    def _encrypt(self, label: str, bucket: aws.s3.Bucket) -> None:
        """Use S3's own keys: load balancers support no others for their logs, and nodes need no permission on a key."""
        rule = aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
            apply_server_side_encryption_by_default=(
                aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                    sse_algorithm="AES256"
                )
            )
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{label}-encryption", bucket=bucket.id, rules=[rule], opts=self.child()
        )

    def _keep_versions(self, label: str, bucket: aws.s3.Bucket) -> aws.s3.BucketVersioning:
        return aws.s3.BucketVersioning(
            f"{label}-versioning",
            bucket=bucket.id,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self.child(),
        )

    def _expire(
        self, label: str, bucket: aws.s3.Bucket, purpose: _Purpose, versioning: aws.s3.BucketVersioning | None
    ) -> None:
        aws.s3.BucketLifecycleConfiguration(
            f"{label}-lifecycle",
            bucket=bucket.id,
            rules=lifecycle_rules(purpose.keep_days, versioned=purpose.versioned, rewritten=purpose.rewritten),
            # A rule on noncurrent versions requires that versioning is enabled.
            opts=self.child(depends_on=[versioning] if versioning else None),
        )

    def _close(self, label: str, bucket: aws.s3.Bucket, policy: str) -> aws.s3.BucketPolicy:
        aws.s3.BucketOwnershipControls(
            f"{label}-ownership",
            bucket=bucket.id,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=self.child(),
        )
        block = aws.s3.BucketPublicAccessBlock(
            f"{label}-public-access",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.child(),
        )
        return aws.s3.BucketPolicy(
            f"{label}-policy",
            bucket=bucket.id,
            policy=policy,
            # S3 returns a conflict if a bucket's policy and its public access block change at the same time.
            opts=self.child(depends_on=[block]),
        )

    def _pool_locks(self, name: str, locks: Sequence[Artifact]) -> None:
        """The list of locks, under a name that stays: masters read it every few minutes, and a new lock does not
        replace them. Only this program may write it."""
        aws.s3.BucketObjectv2(
            f"{name}-{POOL_LOCKS}",
            bucket=self.artifacts.name_with_policy,
            key=POOL_LOCKS,
            content="".join(sorted({f"{lock.key}\n" for lock in locks})),
            opts=self.child(),
        )

    def _artifact(self, name: str, artifact: Artifact) -> None:
        aws.s3.BucketObjectv2(
            "-".join(filter(None, (name, "artifact", artifact.name, artifact.group))),
            bucket=self.artifacts.name_with_policy,
            key=artifact.key,
            content_base64=base64.b64encode(artifact.content).decode(),
            # S3 verifies the checksum at the upload and stores it with the object.
            checksum_algorithm="SHA256",
            # New content has a new key. The old object stays for nodes that still boot from the previous template.
            opts=self.child(retain_on_delete=True),
        )


def lifecycle_rules(
    keep_days: int | None, *, versioned: bool, rewritten: bool
) -> list[aws.s3.BucketLifecycleConfigurationRuleArgs]:
    """Rules for all objects of a bucket. Where two of them apply to a version, S3 follows the one that deletes first.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html
    """
    expiration = aws.s3.BucketLifecycleConfigurationRuleExpirationArgs
    noncurrent = aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs
    abandoned = aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs
    markers = expiration(expired_object_delete_marker=True)
    rules = [
        _rule(
            "expire",
            expiration=expiration(days=keep_days) if keep_days else markers,
            noncurrent_version_expiration=noncurrent(noncurrent_days=NONCURRENT_DAYS) if versioned else None,
            abort_incomplete_multipart_upload=abandoned(days_after_initiation=ABANDONED_UPLOAD_DAYS),
        )
    ]
    if versioned and keep_days:
        # A rule has only one `expiration`. With `days` alone, S3 would keep the delete marker of an expired object for
        # another `keep_days`.
        rules.append(_rule("delete-markers", expiration=markers))
    if rewritten:
        surplus = noncurrent(noncurrent_days=SURPLUS_DAYS, newer_noncurrent_versions=NEWEST_VERSIONS)
        rules.append(_rule("surplus-versions", noncurrent_version_expiration=surplus))
    return rules


def _rule(id_: str, **actions: Any) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    everything = aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix="")
    return aws.s3.BucketLifecycleConfigurationRuleArgs(id=id_, status="Enabled", filter=everything, **actions)


def bucket_policy(bucket: str, purpose: str, account_id: str) -> str:
    """The policy of a bucket: it denies requests without TLS, or with a TLS version below 1.2.

    That of the access logs bucket also allows the load balancers' log delivery to write.
    """
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    refused = {
        "TlsOnly": {"Bool": {"aws:SecureTransport": "false"}},
        "ModernTlsOnly": {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    }
    statements = [
        deny("s3:*", resources, sid=sid, principal="*", condition=condition) for sid, condition in refused.items()
    ]
    if purpose == "access-logs":
        # The path contains the account id, so load balancers of other accounts cannot write here; AWS accepts no prefix
        # that contains `AWSLogs`. A condition on the source would exclude ours as well: this service sends none.
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
        statements.append(
            allow(
                "s3:PutObject",
                f"arn:aws:s3:::{bucket}/*/AWSLogs/{account_id}/*",
                sid="LoadBalancerLogs",
                principal={"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
            )
        )
    return json.dumps(document(statements))


def publisher_policy(dags_bucket: str, bundle: str) -> str:
    """The policy of a principal that may publish DAGs to this bundle and to no other. It cannot delete anything.

    The paths are those of `airflow_node/dag_release.py`.
    """
    bucket = f"arn:aws:s3:::{dags_bucket}"
    statements = [
        allow(
            ["s3:GetObject", "s3:PutObject"],
            [f"{bucket}/{bundle}/releases/*", f"{bucket}/{bundle}/current.json"],
            sid="PublishReleases",
        ),
        allow("s3:ListBucket", bucket, sid="ListReleases", condition={"StringLike": {"s3:prefix": f"{bundle}/*"}}),
    ]
    return json.dumps(document(statements))
