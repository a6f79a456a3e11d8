from __future__ import annotations

import json
from typing import Any

import pytest

from components.alert_topics import PUBLISHERS, AlertTopics, AlertTopicsArgs
from engine.program import deploy
from engine.recording import Recording
from lab.aws.policy import Request, is_allowed
from settings import AlertSettings
from tests.components.contexts import context

TOPIC = "aws:sns/topic:Topic"
POLICY = "aws:sns/topicPolicy:TopicPolicy"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
KEY = "aws:kms/key:Key"
ARN = "arn:aws:sns:eu-west-1:111122223333:airflow-prod-alerts-"
every_publisher = pytest.mark.parametrize("service", PUBLISHERS)


def topics(**subscribers: Any) -> Recording:
    args = AlertTopicsArgs(context=context(), settings=AlertSettings.model_validate({"subscribers": subscribers}))
    return deploy(lambda: AlertTopics("alerts", args))[1]


def subscribed(**subscriber: str) -> dict[str, tuple[str, str]]:
    """The severities of which a subscriber is told, with protocol and endpoint."""
    found = topics(team=subscriber).of_type(SUBSCRIPTION)
    return {
        each.inputs["topic"].removeprefix(ARN): (each.inputs["protocol"], each.inputs["endpoint"]) for each in found
    }


def test_a_subscriber_of_warnings_is_told_what_is_critical_as_well():
    email = ("email", "a@example.com")
    assert subscribed(endpoint="a@example.com") == {"critical": email, "warning": email}


def test_a_subscriber_of_critical_alerts_is_told_nothing_else():
    assert set(subscribed(endpoint="a@example.com", minimumSeverity="critical")) == {"critical"}


def test_a_service_is_subscribed_by_https():
    url = "https://alerts.example.com/sns"
    assert subscribed(endpoint=url)["critical"] == ("https", url)


def test_a_stack_without_subscribers_has_topics_for_others_to_subscribe_to():
    recording = topics()
    assert [topic.inputs["name"] for topic in recording.of_type(TOPIC)] == [
        "airflow-prod-alerts-critical",
        "airflow-prod-alerts-warning",
    ]
    assert not recording.of_type(SUBSCRIPTION)


def publishes(recording: Recording, *, service: str, account: str, tls: str = "true") -> bool:
    """Whether a topic's policy allows an AWS service to publish."""
    request = Request(
        action="sns:Publish",
        resource=f"{ARN}critical",
        principal=service,
        context={"aws:SourceAccount": account, "aws:SecureTransport": tls},
    )
    policy = json.loads(recording.named(POLICY, "alerts-critical-policy").inputs["policy"])
    return is_allowed(request, [], [policy])


@every_publisher
def test_aws_publishes_for_resources_of_this_account_over_tls_only(service: str):
    recording = topics()
    assert publishes(recording, service=service, account="111122223333")
    assert not publishes(recording, service=service, account="444455556666"), "any customer could send false alerts"
    assert not publishes(recording, service=service, account="111122223333", tls="false")
    assert not publishes(recording, service="lambda.amazonaws.com", account="111122223333")


def uses_key(service: str, account: str, action: str) -> bool:
    key = topics().only(KEY)
    request = Request(
        action=action, resource=key.outputs["arn"], principal=service, context={"aws:SourceAccount": account}
    )
    return is_allowed(request, [], [json.loads(key.inputs["policy"])])


@every_publisher
@pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKey"])
def test_aws_can_use_the_key_for_resources_of_this_account(service: str, action: str):
    """Without it, SNS accepts no message, and the alarm's history alone shows it."""
    assert uses_key(service, "111122223333", action)
    assert not uses_key(service, "444455556666", action)
    assert not uses_key(service, "111122223333", "kms:ScheduleKeyDeletion")


def test_each_topic_is_encrypted_with_the_key_and_signs_with_sha256():
    recording = topics()
    for topic in recording.of_type(TOPIC):
        assert topic.inputs["kmsMasterKeyId"] == recording.only(KEY).outputs["arn"]
        assert topic.inputs["signatureVersion"] == 2
    assert recording.only(KEY).inputs["enableKeyRotation"] is True


def test_a_topic_is_used_once_its_policy_lets_aws_publish():
    """RDS tries to publish when it gets a topic, and refuses one to which it cannot."""
    recording = topics(team={"endpoint": "a@example.com"})
    for subscription in recording.of_type(SUBSCRIPTION):
        severity = subscription.inputs["topic"].removeprefix(ARN)
        assert recording.named(POLICY, f"alerts-{severity}-policy").urn in subscription.dependencies
