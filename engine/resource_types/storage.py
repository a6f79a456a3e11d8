"""S3, CloudWatch Logs and Secrets Manager, and the random provider, which generates the values of secrets.

Random values are the same for a resource in every run. Their ids have the form that the provider gives them:
https://github.com/pulumi/pulumi-random, provider/resources.go and the recordings in provider/testdata. The id of a
RandomBytes, RandomString, RandomInteger or RandomUuid is its value, and no id is ever encrypted
(https://github.com/pulumi/pulumi/issues/8946). An entry for one of them needs that id, so that the tests that search
for secrets find it.
"""

from __future__ import annotations

import base64
import hashlib
import string

from engine.recording import Registration
from engine.resource_types import fake_ids
from engine.resource_types.definition import ANY_INPUT, MockOutputs, ResourceType, Retention, Safeguard
from engine.resource_types.fake_ids import arn, characters, name, named, text

_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"  # the provider's own default


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
            "versionId": characters(registration.urn, 32),
            "etag": hashlib.md5(content.encode(), usedforsecurity=False).hexdigest(),
        },
    )


def _secret(registration: Registration) -> MockOutputs:
    called = name(registration, longest=512)
    # Secrets Manager adds a hyphen and six characters, so that a new secret differs from a deleted one with its name.
    secret = arn(registration, "secretsmanager", f"secret:{called}-{characters(f'secret:{registration.urn}', 6)}")
    return MockOutputs(id=secret, outputs={"arn": secret}, planned={"name": called})


def _secret_version(registration: Registration) -> MockOutputs:
    secret = text(registration, "secretId")
    version = fake_ids.uuid4(registration.urn)
    return MockOutputs(
        id=f"{secret}|{version}",
        outputs={"arn": secret, "versionId": version, "versionStages": ["AWSCURRENT"]},
    )


def _password(registration: Registration) -> MockOutputs:
    salt = characters(f"salt:{registration.urn}", 53, "./" + string.ascii_letters + string.digits)
    return MockOutputs(id="none", outputs={"result": _random_text(registration), "bcryptHash": f"$2a$10${salt}"})


def _random_text(registration: Registration) -> str:
    """`length` characters of the allowed classes, at least as many of each as its `min...` input requires."""
    inputs = registration.inputs
    special = inputs.get("overrideSpecial") or _SPECIAL
    classes = {
        "lower": string.ascii_lowercase,
        "upper": string.ascii_uppercase,
        "numeric": string.digits,
        "special": special,
    }
    allowed = "".join(alphabet for kind, alphabet in classes.items() if inputs.get(kind, True))
    length = int(inputs["length"])
    least = "".join(
        characters(f"{kind}:{registration.urn}", int(inputs.get(f"min{kind.title()}", 0)), alphabet)
        for kind, alphabet in classes.items()
    )
    mixed = least + characters(f"text:{registration.urn}", length - len(least), allowed)
    # The order is random too: otherwise the required characters would always come first.
    order = sorted(range(length), key=lambda at: hashlib.sha256(f"{registration.urn}:{at}".encode()).digest())
    return "".join(mixed[at] for at in order)


def _random_id(registration: Registration) -> MockOutputs:
    drawn = hashlib.shake_256(f"bytes:{registration.urn}".encode()).digest(int(registration.inputs["byteLength"]))
    prefix = registration.inputs.get("prefix", "")
    url_safe = base64.urlsafe_b64encode(drawn).decode().rstrip("=")
    return MockOutputs(
        id=url_safe,
        outputs={
            "b64Std": prefix + base64.b64encode(drawn).decode(),
            "b64Url": prefix + url_safe,
            "hex": prefix + drawn.hex(),
            "dec": f"{prefix}{int.from_bytes(drawn, 'big')}",
        },
    )


TYPES = {
    "aws:cloudwatch/logGroup:LogGroup": ResourceType(
        mock=named("logs", "log-group", longest=512),
        name_input="name",
        replaced_by=frozenset({"name", "namePrefix", "logGroupClass"}),
        stateful=True,
        retention=(Retention(input="retentionInDays", risk="keeps logs for {new} instead of {old} days"),),
        highlights=("name", "retentionInDays"),
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
    # A random value is generated once; a change of any input generates another. Data that was encrypted or signed with
    # the old value of a password is lost.
    "random:index/randomPassword:RandomPassword": ResourceType(
        mock=_password, replaced_by=ANY_INPUT, stateful=True, highlights=("length",)
    ),
    "random:index/randomId:RandomId": ResourceType(mock=_random_id, replaced_by=ANY_INPUT, highlights=("byteLength",)),
}
