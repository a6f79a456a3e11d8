"""SNS, KMS, CloudWatch alarms and dashboards: what reports faults, and where to."""

from __future__ import annotations

from engine.recording import Registration
from engine.resource_types import fake_ids
from engine.resource_types.definition import MockOutputs, ResourceType, Safeguard
from engine.resource_types.fake_ids import arn, name, named, text


def _key(registration: Registration) -> MockOutputs:
    id_ = fake_ids.uuid4(registration.urn)
    return MockOutputs(id=id_, outputs={"arn": arn(registration, "kms", f"key/{id_}"), "keyId": id_})


def _alias(registration: Registration) -> MockOutputs:
    called = name(registration, longest=256)
    outputs = {"arn": arn(registration, "kms", called)}
    return MockOutputs(id=called, outputs=outputs, planned={"name": called})


def _topic(registration: Registration) -> MockOutputs:
    called = name(registration, longest=256)
    topic = arn(registration, "sns", called)
    return MockOutputs(id=topic, outputs={"arn": topic}, planned={"name": called})


def _topic_policy(registration: Registration) -> MockOutputs:
    return MockOutputs(id=text(registration, "arn"))


def _subscription(registration: Registration) -> MockOutputs:
    subscription = f"{text(registration, 'topic')}:{fake_ids.uuid4(registration.urn)}"
    return MockOutputs(id=subscription, outputs={"arn": subscription, "pendingConfirmation": True})


def _dashboard(registration: Registration) -> MockOutputs:
    called = name(registration, "dashboardName")
    found = arn(registration, "cloudwatch", f"dashboard/{called}", regional=False)
    return MockOutputs(id=called, outputs={"dashboardArn": found})


TYPES = {
    "aws:kms/key:Key": ResourceType(
        mock=_key,
        replaced_by=frozenset({"customKeyStoreId", "customerMasterKeySpec", "keyUsage", "multiRegion", "xksKeyId"}),
        safeguards=(
            Safeguard(input="enableKeyRotation", risk="keeps its key material for ever"),
            Safeguard(input="isEnabled", safe=(True, None), unsafe=(False,), risk="can no longer be used"),
        ),
        highlights=("description", "enableKeyRotation", "policy"),
    ),
    "aws:kms/alias:Alias": ResourceType(
        mock=_alias, name_input="name", replaced_by=frozenset({"name", "namePrefix"}), highlights=("name",)
    ),
    "aws:sns/topic:Topic": ResourceType(
        mock=_topic,
        name_input="name",
        replaced_by=frozenset({"name", "namePrefix", "fifoTopic"}),
        highlights=("name",),
    ),
    "aws:sns/topicPolicy:TopicPolicy": ResourceType(
        mock=_topic_policy, unique_by=("arn",), replaced_by=frozenset({"arn"}), highlights=("policy",)
    ),
    "aws:sns/topicSubscription:TopicSubscription": ResourceType(
        mock=_subscription,
        unique_by=("topic", "protocol", "endpoint"),
        replaced_by=frozenset({"endpoint", "protocol", "topic"}),
        highlights=("protocol", "endpoint"),
    ),
    "aws:cloudwatch/dashboard:Dashboard": ResourceType(
        mock=_dashboard,
        name_input="dashboardName",
        replaced_by=frozenset({"dashboardName"}),
        highlights=("dashboardName",),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ResourceType(
        mock=named("cloudwatch", "alarm"),
        name_input="name",
        replaced_by=frozenset({"name"}),
        sets=frozenset({"alarmActions", "insufficientDataActions", "metricQueries", "okActions"}),
        highlights=(
            "name",
            "metricName",
            "metricQueries.expression",
            "comparisonOperator",
            "threshold",
            "alarmActions",
        ),
    ),
}
