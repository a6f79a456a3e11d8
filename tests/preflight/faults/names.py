"""What AWS may answer about names, buckets and secrets, and what the checks find in it."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.preflight.faults.fault import BUCKET, Fault, quota_of

SECRET = "airflow-prod/fernet-key"

FAULTS = [
    Fault(
        "names",
        "prod",
        {"s3__HeadBucket": lambda given: "403" if given["Bucket"] == BUCKET else "404"},
        "will fail",
        [BUCKET, "another account", "airflow:cluster.name"],
    ),
    Fault(
        "names",
        "prod",
        {
            "secretsmanager__ListSecrets": {
                "SecretList": [{"Name": SECRET, "DeletedDate": datetime(2026, 11, 1, tzinfo=UTC)}]
            }
        },
        "will fail",
        [SECRET, "scheduled for deletion", "--force-delete-without-recovery --region eu-west-1"],
    ),
    Fault(
        "quotas: buckets, secrets",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-DC2B2D3D", 3)},
        "will fail",
        ["buckets"],
    ),
]
