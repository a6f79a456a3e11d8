from __future__ import annotations

import base64
import hashlib
import json

import pulumi
import pytest

from components.buckets import Buckets, BucketsArgs
from engine.program import deploy
from engine.recording import Recording
from node.artifacts import Artifact
from tests.components.contexts import context

BUCKET = "aws:s3/bucket:Bucket"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"

PURPOSES = ("task-logs", "dags", "artifacts", "access-logs")
LOCK = b"apache-airflow==3.3.2 --hash=sha256:0\n"


def artifact(name: str, content: bytes) -> Artifact:
    return Artifact(name=name, sha256=hashlib.sha256(content).hexdigest(), content=content)


def build(*, protect: bool = True, content: bytes = LOCK) -> Buckets:
    return Buckets(
        "buckets",
        BucketsArgs(
            context=context(protect=protect, task_logs_days=365, access_logs_days=90),
            artifacts=[artifact("airflow.txt", content)],
        ),
    )


def buckets(*, protect: bool = True, content: bytes = LOCK) -> Recording:
    _, recording = deploy(lambda: build(protect=protect, content=content))
    return recording


def statements(recording: Recording, purpose: str) -> dict[str, dict]:
    policy = json.loads(recording.named(POLICY, f"buckets-{purpose}-policy").inputs["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def rules(recording: Recording, purpose: str) -> dict[str, dict]:
    return {item["id"]: item for item in recording.named(LIFECYCLE, f"buckets-{purpose}-lifecycle").inputs["rules"]}


def rule(recording: Recording, purpose: str) -> dict:
    return rules(recording, purpose)["expire"]


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_bucket_refuses_requests_without_modern_tls(purpose: str):
    found = statements(buckets(), purpose)
    for refusal in (found["TlsOnly"], found["ModernTlsOnly"]):
        assert refusal["Effect"] == "Deny"
        assert refusal["Principal"] == "*"
        name = f"arn:aws:s3:::airflow-prod-111122223333-eu-west-1-{purpose}"
        assert refusal["Resource"] == [name, f"{name}/*"], "the bucket itself and its objects"
    assert found["TlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_bucket_is_private_and_encrypted(purpose: str):
    recording = buckets()
    block = recording.named(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", f"buckets-{purpose}-public-access"
    ).inputs
    assert all(
        block[key] for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    )
    ownership = recording.named(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls", f"buckets-{purpose}-ownership"
    ).inputs
    assert ownership["rule"]["objectOwnership"] == "BucketOwnerEnforced", "object ACLs must not give access to anything"
    (encryption,) = recording.named(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        f"buckets-{purpose}-encryption",
    ).inputs["rules"]
    assert encryption["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "AES256", (
        "load balancers cannot write logs to a bucket with a KMS key"
    )


def test_load_balancers_of_this_account_may_write_access_logs_and_nothing_else():
    recording = buckets()
    allowed = {
        purpose: [item for item in statements(recording, purpose).values() if item["Effect"] == "Allow"]
        for purpose in PURPOSES
    }
    (delivery,) = allowed.pop("access-logs")
    assert delivery["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert delivery["Action"] == "s3:PutObject"
    assert delivery["Resource"].endswith("/AWSLogs/111122223333/*"), (
        "the path excludes load balancers of other accounts"
    )
    assert not any(allowed.values())


@pytest.mark.parametrize("protect", [True, False])
def test_buckets_that_cannot_be_recreated_are_protected_by_the_setting(protect: bool):
    found = {bucket.name.removeprefix("buckets-"): bucket for bucket in buckets(protect=protect).of_type(BUCKET)}
    assert {name for name, bucket in found.items() if bucket.options.protect} == (
        {"task-logs", "dags"} if protect else set()
    )
    assert all(bucket.inputs["forceDestroy"] is not protect for bucket in found.values())


def test_overwritten_and_deleted_objects_can_be_restored():
    recording = buckets()
    versioned = {item.name for item in recording.of_type(VERSIONING)}
    assert versioned == {f"buckets-{purpose}-versioning" for purpose in ("task-logs", "dags", "artifacts")}
    for purpose in ("task-logs", "dags", "artifacts"):
        assert rule(recording, purpose)["noncurrentVersionExpiration"]["noncurrentDays"] == 30
        versioning = recording.named(VERSIONING, f"buckets-{purpose}-versioning")
        assert versioning.urn in recording.named(LIFECYCLE, f"buckets-{purpose}-lifecycle").dependencies


def test_logs_expire_after_the_set_days_and_dags_never():
    recording = buckets()
    assert rule(recording, "task-logs")["expiration"] == {"days": 365}
    assert rule(recording, "access-logs")["expiration"] == {"days": 90}
    assert rule(recording, "dags")["expiration"] == {"expiredObjectDeleteMarker": True}
    assert rule(recording, "artifacts")["expiration"] == {"expiredObjectDeleteMarker": True}


def test_few_versions_of_a_task_log_that_is_often_rewritten_are_kept():
    recording = buckets()
    surplus = rules(recording, "task-logs")["surplus-versions"]
    assert surplus["noncurrentVersionExpiration"] == {"noncurrentDays": 1, "newerNoncurrentVersions": 10}
    assert surplus["status"] == "Enabled"
    assert surplus["filter"] == {"prefix": ""}, "S3 refuses a number of versions to keep in a rule without a filter"
    for purpose in ("dags", "artifacts"):
        assert "surplus-versions" not in rules(recording, purpose), "objects in these buckets are rarely rewritten"


@pytest.mark.parametrize("purpose", ["task-logs", "dags", "artifacts"])
def test_a_delete_marker_is_removed_with_the_last_version_below_it(purpose: str):
    assert {"expiredObjectDeleteMarker": True} in [
        item.get("expiration") for item in rules(buckets(), purpose).values()
    ]
    for item in rules(buckets(), purpose).values():
        assert len(item.get("expiration", {})) <= 1, "a rule has either days or the flag"


@pytest.mark.parametrize("purpose", PURPOSES)
def test_parts_of_abandoned_uploads_are_deleted(purpose: str):
    assert rule(buckets(), purpose)["abortIncompleteMultipartUpload"]["daysAfterInitiation"] == 7


def test_an_artifact_is_stored_byte_for_byte_under_its_hash():
    content = bytes(range(256))
    found = buckets(content=content).only(OBJECT)
    assert base64.b64decode(found.inputs["contentBase64"]) == content
    assert found.inputs["key"] == f"{hashlib.sha256(content).hexdigest()}/airflow.txt"
    assert found.inputs["checksumAlgorithm"] == "SHA256"


def test_a_new_artifact_does_not_delete_the_one_from_which_older_nodes_boot():
    assert buckets().only(OBJECT).options.retain_on_delete


def test_bucket_names_are_known_before_anything_is_created():
    made, _ = deploy(build, preview=True)
    assert made.dags.name == "airflow-prod-111122223333-eu-west-1-dags"
    assert made.task_logs.name == "airflow-prod-111122223333-eu-west-1-task-logs"


def test_a_load_balancer_waits_until_it_may_write_its_logs():
    """AWS tests the permission when access logs are enabled, and refuses to create the load balancer without it."""

    def program() -> None:
        pulumi.CustomResource("test:index:Balancer", "balancer", {"bucket": build().access_logs.name_with_policy})

    _, recording = deploy(program)
    policy = recording.named(POLICY, "buckets-access-logs-policy")
    assert policy.urn in recording.only("test:index:Balancer").dependencies


def test_the_locks_of_worker_pools_are_listed_under_a_name_that_stays():
    heavy = artifact("airflow.txt", b"heavy")
    args = BucketsArgs(
        context=context(protect=True, task_logs_days=365, access_logs_days=90), artifacts=[], pool_locks=[heavy, heavy]
    )
    _, recording = deploy(lambda: Buckets("buckets", args))
    listed = recording.named(OBJECT, "buckets-pool-locks").inputs
    assert (listed["key"], listed["content"]) == ("pool-locks", f"{heavy.key}\n")
    assert not [each for each in buckets().of_type(OBJECT) if each.name == "buckets-pool-locks"], "no pool has any"
