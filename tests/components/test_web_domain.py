from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.web_domain import WebDomain, WebDomainArgs
from engine.program import deploy
from engine.recording import Recording
from tests.support.listener_rules import RULE

LISTENER = "aws:lb/listener:Listener"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
RECORD = "aws:route53/record:Record"


def build() -> WebDomain:
    balancer = aws.lb.LoadBalancer("balancer", name="airflow-prod-web")
    plain = aws.lb.Listener("plain", load_balancer_arn=balancer.arn, port=8080, protocol="HTTP", default_actions=[])
    return WebDomain(
        "web-domain",
        WebDomainArgs(
            domain="airflow.example.com",
            hosted_zone_id="Z0123456789ABCDEFGHIJ",
            load_balancer=balancer,
            plain_listener_arn=plain.arn,
            after=[plain],
            load_balancers=pulumi.ComponentResource("airflow:web:WebEntrypoint", "web"),
        ),
    )


def web_domain() -> Recording:
    return deploy(build)[1]


def test_the_domain_points_to_the_load_balancer():
    recording = web_domain()
    record = recording.only(RECORD)
    assert (record.inputs["zoneId"], record.inputs["name"]) == ("Z0123456789ABCDEFGHIJ", "airflow.example.com")
    assert record.inputs["aliases"][0]["name"] == recording.only(LOAD_BALANCER).outputs["dnsName"]


def test_a_record_in_an_older_place_in_the_state_is_kept():
    """Pulumi creates before it deletes, and Route 53 refuses a second record of the same name and type."""
    [old] = web_domain().only(RECORD).options.aliases
    assert old.endswith(f"::airflow:web:WebEntrypoint${RECORD}::web-record")


def test_visitors_of_port_8080_are_redirected_to_the_domain():
    recording = web_domain()
    rule = recording.only(RULE)
    assert rule.inputs["listenerArn"] == recording.only(LISTENER).outputs["arn"]
    assert rule.inputs["conditions"] == [{"pathPattern": {"values": ["/*"]}}]
    assert rule.inputs["actions"][0]["redirect"] == {
        "protocol": "HTTPS",
        "host": "airflow.example.com",
        "port": "443",
        "statusCode": "HTTP_302",
    }, "the certificate is valid for the domain only, so the redirect must name it"


def test_people_are_redirected_only_after_the_domain_has_a_record():
    recording = web_domain()
    record = recording.only(RECORD)
    assert record.urn in recording.only(RULE).dependencies
    assert recording.only(LISTENER).urn in record.dependencies
