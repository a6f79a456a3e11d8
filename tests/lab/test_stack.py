"""The program as the lab runs it."""

from __future__ import annotations

import base64

from lab.aws.account import BUCKET_OBJECT, TEMPLATE
from lab.certificates import CertificateAuthority
from lab.stack import record
from node.artifacts import CA_BUNDLE
from node.user_data import decode


def test_nodes_get_the_authority_of_the_labs_database_in_addition_to_those_of_rds():
    """In the same file and under its hash, so that the lab's nodes get it in the same way as real ones."""
    authority = CertificateAuthority().certificate
    recording = record("prod", rds_authority=authority)
    bundle = recording.named(BUCKET_OBJECT, f"buckets-artifact-{CA_BUNDLE.name}").inputs
    assert base64.b64decode(bundle["contentBase64"]).decode() == CA_BUNDLE.read_text() + authority
    for template in recording.of_type(TEMPLATE):
        assert bundle["key"] in decode(template.inputs["userData"])["/etc/airflow/airflow.env"]
