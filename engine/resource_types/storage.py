"""S3 and CloudWatch: buckets, objects, log groups and alarms."""

from __future__ import annotations

import hashlib

from engine import fake_ids
from engine.recording import Registration
from engine.resource_types.mock_outputs import Answer, answers, arn, name, text


@answers("aws:s3/bucket:Bucket")
def _bucket(registration: Registration) -> Answer:
    called = name(registration, "bucket", longest=63)
    domain = f"{called}.s3.{registration.region}.amazonaws.com"
    return Answer(
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
@answers(
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
)
def _bucket_setting(registration: Registration) -> Answer:
    return Answer(id=text(registration, "bucket"))


@answers("aws:s3/bucketObjectv2:BucketObjectv2")
def _object(registration: Registration) -> Answer:
    path = f"{text(registration, 'bucket')}/{text(registration, 'key', registration.name)}"
    content = str(registration.inputs.get("content") or registration.inputs.get("contentBase64") or path)
    return Answer(
        id=path,
        outputs={
            "arn": arn(registration, "s3", path, regional=False, account=False),
            "versionId": fake_ids.characters(registration.urn, 32),
            "etag": hashlib.md5(content.encode(), usedforsecurity=False).hexdigest(),
        },
    )


@answers("aws:cloudwatch/logGroup:LogGroup")
def _log_group(registration: Registration) -> Answer:
    called = name(registration, longest=512)
    return Answer(
        id=called, outputs={"arn": arn(registration, "logs", f"log-group:{called}")}, planned={"name": called}
    )


@answers("aws:cloudwatch/metricAlarm:MetricAlarm")
def _alarm(registration: Registration) -> Answer:
    called = name(registration)
    return Answer(
        id=called, outputs={"arn": arn(registration, "cloudwatch", f"alarm:{called}")}, planned={"name": called}
    )
