from __future__ import annotations

import re

import pytest

from components.celery_broker import PORT as BROKER_PORT
from components.metadata_database import PORT as DATABASE_PORT
from components.security_groups import DESCRIPTIONS, TABLE, SecurityGroups, SecurityGroupsArgs
from engine.program import deploy
from engine.recording import Recording
from settings import PublicWeb, WebSettings
from tests.components.contexts import context

GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"

OFFICE = "10.80.0.0/16"
PRIVATE = WebSettings(allowed_cidrs=(OFFICE,))
DOMAIN = WebSettings(allowed_cidrs=(OFFICE,), domain="airflow.example.com", hosted_zone_id="Z0123456789ABCDEFGHIJ")
PUBLIC = DOMAIN.model_copy(update={"public": PublicWeb(allowed_cidrs=("0.0.0.0/0",))})


def access(web: WebSettings = PUBLIC, *, with_endpoints: bool = True) -> Recording:
    _, recording = deploy(
        lambda: SecurityGroups(
            "access",
            SecurityGroupsArgs(context=context(), vpc_id="vpc-1", web=web, with_endpoints=with_endpoints),
        )
    )
    return recording


def rules(recording: Recording, type_: str) -> set[tuple[str, str, int | None]]:
    """(group that has the rule, other group, port or None for all ports)"""
    parts = {group.id: group.name.removeprefix("access-") for group in recording.of_type(GROUP)}
    found: set[tuple[str, str, int | None]] = set()
    for rule in (item.inputs for item in recording.of_type(type_)):
        other = rule.get("referencedSecurityGroupId")
        found.add((parts[rule["securityGroupId"]], parts[other] if other else rule["cidrIpv4"], rule.get("fromPort")))
    return found


def test_only_the_listed_connections_are_allowed():
    assert rules(access(), INGRESS) == {
        ("internal-web", "workers", 8080),
        ("internal-web", OFFICE, 8080),
        ("internal-web", OFFICE, 443),
        ("public-web", "0.0.0.0/0", 443),
        ("masters", "internal-web", 8080),
        ("masters", "public-web", 8080),
        ("masters", "masters", 8794),
        ("workers", "masters", 8793),
        ("database", "masters", 5432),
        ("database", "workers", 5432),
        ("broker", "masters", 6379),
        ("broker", "workers", 6379),
        ("endpoints", "masters", 443),
        ("endpoints", "workers", 443),
    }


def test_only_nodes_may_connect_to_any_address():
    assert rules(access(), EGRESS) == {
        ("masters", "0.0.0.0/0", None),
        ("workers", "0.0.0.0/0", None),
        ("internal-web", "masters", 8080),
        ("public-web", "masters", 8080),
    }, "databases, brokers and load balancers need no other outgoing connections"


@pytest.mark.parametrize("web", [PRIVATE, DOMAIN], ids=["address", "domain"])
def test_without_public_access_nothing_is_open_to_the_internet(web: WebSettings):
    recording = access(web)
    assert "0.0.0.0/0" not in {other for _, other, _ in rules(recording, INGRESS)}
    assert "access-public-web" not in {group.name for group in recording.of_type(GROUP)}


def test_443_of_the_internal_load_balancer_is_closed_without_a_certificate():
    assert ("internal-web", OFFICE, 443) not in rules(access(PRIVATE), INGRESS)


def test_a_stack_without_endpoints_has_no_group_for_them():
    assert "access-endpoints" not in {group.name for group in access(with_endpoints=False).of_type(GROUP)}


def test_the_table_has_the_ports_on_which_the_database_and_the_broker_listen():
    ports = {(row.target, row.port) for row in TABLE}
    assert {("database", DATABASE_PORT), ("broker", BROKER_PORT)} <= ports


def test_aws_accepts_every_description():
    allowed = re.compile(r"[A-Za-z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")
    recording = access()
    texts = [item.inputs["description"] for type_ in (GROUP, INGRESS, EGRESS) for item in recording.of_type(type_)]
    assert not [text for text in (*texts, *DESCRIPTIONS.values()) if not allowed.fullmatch(text)]
