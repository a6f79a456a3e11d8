"""What an instance reads about itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from ipaddress import IPv4Address

import pytest

from lab.addresses import AddressPlan
from lab.instance import Instance, Notices, RoleCredentials, metadata
from lab.servers.metadata_service import USER_DATA

CREDENTIALS = RoleCredentials(
    access_key_id="ASIA1",
    secret_access_key="secret",
    session_token="token",
    expiration=datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
)


def instance(*, readable_tags: bool = False) -> Instance:
    return Instance(
        id="i-0a1b2c3d4e5f60718",
        group="airflow-prod-masters",
        address=IPv4Address("10.80.32.4"),
        zone="eu-west-1b",
        region="eu-west-1",
        account_id="111122223333",
        instance_type="m7i.large",
        image_id="ami-1",
        profile_arn="arn:aws:iam::111122223333:instance-profile/airflow-prod-master",
        role="airflow-prod-master",
        user_data="H4sI",
        tags={"Name": "airflow-prod-master"},
        readable_tags=readable_tags,
    )


@pytest.fixture
def tree(plan: AddressPlan) -> dict[str, str]:
    return metadata(instance(), CREDENTIALS, plan, Notices())


def test_the_roles_credentials_are_found_by_the_name_of_the_role(tree: dict[str, str]):
    given = json.loads(tree["meta-data/iam/security-credentials/airflow-prod-master"])
    assert given["AccessKeyId"] == "ASIA1"
    assert given["Token"] == "token"
    assert given["Expiration"] == "2026-11-21T12:00:00Z", "clients renew by this, and read no other form"


def test_an_instance_reads_the_zone_and_the_subnet_of_the_program(tree: dict[str, str], plan: AddressPlan):
    assert tree["meta-data/placement/availability-zone"] == "eu-west-1b"
    interface = f"meta-data/network/interfaces/macs/{instance().mac}"
    assert tree[f"{interface}/subnet-ipv4-cidr-block"] == str(plan.subnet_of(instance().address).cidr)
    assert tree["meta-data/local-hostname"] == "ip-10-80-32-4.eu-west-1.compute.internal"


def test_user_data_is_that_of_the_template(tree: dict[str, str]):
    assert tree[USER_DATA] == "H4sI"


def test_tags_are_readable_only_if_the_template_allows_it(tree: dict[str, str], plan: AddressPlan):
    readable = metadata(instance(readable_tags=True), CREDENTIALS, plan, Notices())
    assert readable["meta-data/tags/instance/Name"] == "airflow-prod-master"
    assert not [key for key in tree if "tags/instance" in key]


def test_the_target_lifecycle_state_is_readable(plan: AddressPlan):
    tree = metadata(instance(), CREDENTIALS, plan, Notices(target_state="Terminated"))
    assert tree["meta-data/autoscaling/target-lifecycle-state"] == "Terminated"
