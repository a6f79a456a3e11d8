"""S3, Secrets Manager and CloudWatch: buckets, objects, secrets, log groups and alarms."""

from __future__ import annotations

import hashlib

from engine.recording import Registration
from engine.resource_types import fake_ids
from engine.resource_types.definition import MockOutputs, ResourceType, Retention, Safeguard
from engine.resource_types.fake_ids import arn, name, text


def _bucket(registration: Registration) -> MockOutputs:
    called = name(registration, "bucket", longest=63)
    domain = f"{called}.s3.{registration.region}.amazonaws.com"
    return MockOutputs(
        id=called,
        outputs={
            "arn": arn(registration, "s3", called, regional=False, account=False),
            "bucketDomainName": f"{called}.s3.amazonaws.com",
            "bucketRegionalDomainName": domain,
            "bucketRegion": registration.region,
        },
        planned={"bucket": called},
    )


# Settings of a bucket have the bucket's name as their id.
def _bucket_setting(registration: Registration) -> MockOutputs:
    return MockOutputs(id=text(registration, "bucket"))


def _object(registration: Registration) -> MockOutputs:
    path = f"{text(registration, 'bucket')}/{text(registration, 'key', registration.name)}"
    content = str(registration.inputs.get("content") or registration.inputs.get("contentBase64") or path)
    return MockOutputs(
        id=path,
        outputs={
            "arn": arn(registration, "s3", path, regional=False, account=False),
            "versionId": fake_ids.characters(registration.urn, 32),
            "etag": hashlib.md5(content.encode(), usedforsecurity=False).hexdigest(),
        },
    )


def _log_group(registration: Registration) -> MockOutputs:
    called = name(registration, longest=512)
    return MockOutputs(
        id=called, outputs={"arn": arn(registration, "logs", f"log-group:{called}")}, planned={"name": called}
    )


def _alarm(registration: Registration) -> MockOutputs:
    called = name(registration)
    return MockOutputs(
        id=called, outputs={"arn": arn(registration, "cloudwatch", f"alarm:{called}")}, planned={"name": called}
    )


def _secret(registration: Registration) -> MockOutputs:
    called = name(registration, longest=512)
    # Secrets Manager adds a hyphen and six characters, so that a new secret differs from a deleted one with its name.
    secret = arn(
        registration, "secretsmanager", f"secret:{called}-{fake_ids.characters(f'secret:{registration.urn}', 6)}"
    )
    return MockOutputs(id=secret, outputs={"arn": secret}, planned={"name": called})


def _secret_version(registration: Registration) -> MockOutputs:
    secret = text(registration, "secretId")
    version = fake_ids.uuid4(registration.urn)
    return MockOutputs(
        id=f"{secret}|{version}",
        outputs={"arn": secret, "versionId": version, "versionStages": ["AWSCURRENT"]},
    )


TYPES = {
    "aws:cloudwatch/logGroup:LogGroup": ResourceType(
        mock=_log_group,
        name_input="name",
        replaced_by=frozenset({"name", "namePrefix", "logGroupClass"}),
        stateful=True,
        retention=(Retention(input="retentionInDays", risk="keeps logs for {new} instead of {old} days"),),
        highlights=("name", "retentionInDays"),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ResourceType(
        mock=_alarm,
        name_input="name",
        replaced_by=frozenset({"name"}),
        sets=frozenset({"alarmActions", "insufficientDataActions", "metricQueries", "okActions"}),
        highlights=("name", "metricName", "comparisonOperator", "threshold", "alarmActions"),
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ResourceType(
        mock=_bucket_setting,
        name_input="bucket",
        replaced_by=frozenset({"bucket"}),
        safeguards=(
            Safeguard(input="blockPublicAcls", risk="lets objects be made public"),
            Safeguard(input="blockPublicPolicy", risk="lets the bucket be made public"),
            Safeguard(input="ignorePublicAcls", risk="lets objects be public"),
            Safeguard(input="restrictPublicBuckets", risk="lets the bucket be public"),
        ),
        highlights=("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"),
    ),
    "aws:s3/bucket:Bucket": ResourceType(
        mock=_bucket,
        name_input="bucket",
        replaced_by=frozenset({"bucket", "bucketPrefix", "objectLockEnabled"}),
        stateful=True,
        safeguards=(
            Safeguard(
                input="forceDestroy",
                safe=(False, None),
                unsafe=(True,),
                risk="can be deleted with the objects in it",
            ),
        ),
        highlights=("bucket", "forceDestroy"),
    ),
    "aws:s3/bucketVersioning:BucketVersioning": ResourceType(
        mock=_bucket_setting,
        name_input="bucket",
        replaced_by=frozenset({"bucket", "expectedBucketOwner"}),
        safeguards=(
            Safeguard(
                input="versioningConfiguration.status",
                safe=("Enabled",),
                unsafe=("Suspended",),
                risk="keeps no old versions of objects that are overwritten or deleted",
            ),
        ),
        highlights=("versioningConfiguration.status",),
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ResourceType(
        mock=_bucket_setting,
        name_input="bucket",
        replaced_by=frozenset({"bucket", "expectedBucketOwner"}),
        highlights=(
            "rules.id",
            "rules.expiration.days",
            "rules.noncurrentVersionExpiration.noncurrentDays",
        ),
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": ResourceType(
        mock=_bucket_setting,
        name_input="bucket",
        replaced_by=frozenset({"bucket", "expectedBucketOwner"}),
        highlights=("rules.applyServerSideEncryptionByDefault.sseAlgorithm",),
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": ResourceType(
        mock=_bucket_setting, name_input="bucket", replaced_by=frozenset({"bucket"})
    ),
    "aws:s3/bucketPolicy:BucketPolicy": ResourceType(
        mock=_bucket_setting, name_input="bucket", replaced_by=frozenset({"bucket"}), highlights=("policy",)
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": ResourceType(
        mock=_object,
        name_input="bucket",
        unique_by=("bucket", "key"),
        replaced_by=frozenset({"bucket", "key"}),
        highlights=("key",),
    ),
    "aws:secretsmanager/secret:Secret": ResourceType(
        mock=_secret,
        name_input="name",
        replaced_by=frozenset({"name", "namePrefix"}),
        stateful=True,
        retention=(
            Retention(
                input="recoveryWindowInDays",
                risk="can be restored for {new} instead of {old} days after a deletion",
            ),
        ),
        highlights=("name", "recoveryWindowInDays"),
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": ResourceType(
        mock=_secret_version,
        # A version is never overwritten: a new value becomes a new version of the same secret.
        replaced_by=frozenset({"secretBinary", "secretId", "secretString", "secretStringWoVersion"}),
    ),
}
