"""The SNS topics that alerts are published to, by severity, and their subscribers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.component import Component
from components.context import Context
from components.iam_documents import allow, deny, document
from node.naming import alert_topic_name
from settings import AlertSettings, Severity
from settings.sections.alerts import SEVERITIES

# CloudWatch for alarms, RDS for event subscriptions. ElastiCache and EventBridge are left out: docs/adr/0037.
PUBLISHERS = ("cloudwatch.amazonaws.com", "events.rds.amazonaws.com")


@dataclass(frozen=True, kw_only=True)
class AlertTopicsArgs:
    context: Context
    settings: AlertSettings


class AlertTopics(Component):
    """One topic for each severity, encrypted, to which AWS publishes for this account only, over TLS.

    A subscriber gets the alerts of its minimum severity and of every higher one.
    """

    arns: Mapping[Severity, pulumi.Output[str]]
    """The topics, known once their policies let AWS publish: RDS tries it when it gets a topic."""
    key_arn: pulumi.Output[str]
    """The key of both topics. Who publishes needs kms:Decrypt and kms:GenerateDataKey on it, besides sns:Publish."""

    def __init__(self, name: str, args: AlertTopicsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:alerts:AlertTopics", name, None, opts)
        key = self._key(name, args.context)
        self.key_arn = key.arn
        self.arns = {severity: self._topic(name, args.context, severity, key) for severity in SEVERITIES}
        for subscriber, settings in args.settings.subscribers.items():
            for severity in SEVERITIES[: SEVERITIES.index(settings.minimum_severity) + 1]:
                aws.sns.TopicSubscription(
                    f"{name}-{severity}-{subscriber}",
                    topic=self.arns[severity],
                    protocol="email" if "://" not in settings.endpoint else "https",
                    endpoint=settings.endpoint,
                    opts=self.child(),
                )
        self.register_outputs({"arns": self.arns})

    def _key(self, name: str, context: Context) -> aws.kms.Key:
        """A key of ours: the one that AWS manages for SNS lets no service publish."""
        key = aws.kms.Key(
            f"{name}-key",
            description=f"Encrypts alerts of {context.cluster} in SNS",
            enable_key_rotation=True,
            policy=key_policy(context.account_id),
            opts=self.child(),
        )
        aws.kms.Alias(
            f"{name}-key-alias", name=f"alias/{context.cluster}-alerts", target_key_id=key.key_id, opts=self.child()
        )
        return key

    def _topic(self, name: str, context: Context, severity: Severity, key: aws.kms.Key) -> pulumi.Output[str]:
        topic_name = alert_topic_name(context.cluster, severity)
        topic = aws.sns.Topic(
            f"{name}-{severity}",
            name=topic_name,
            # The sender of the emails.
            display_name=f"{context.cluster} {severity}",
            kms_master_key_id=key.arn,
            # SHA-256, so that a subscribed service can trust what it receives; SNS's default is SHA-1.
            signature_version=2,
            opts=self.child(),
        )
        policy = aws.sns.TopicPolicy(
            f"{name}-{severity}-policy",
            arn=topic.arn,
            policy=topic_policy(context.arn("sns", topic_name), context.account_id),
            opts=self.child(),
        )
        return policy.arn


def topic_policy(topic_arn: str, account_id: str) -> str:
    """Lets the publishers publish for resources of this account, and nobody without TLS. Principals of the account need
    no statement here: their own policies allow or deny it."""
    return json.dumps(
        document(
            [
                allow(
                    "sns:Publish",
                    topic_arn,
                    sid="Publishers",
                    principal={"Service": list(PUBLISHERS)},
                    condition={"StringEquals": {"aws:SourceAccount": account_id}},
                ),
                deny(
                    "sns:Publish",
                    topic_arn,
                    sid="TlsOnly",
                    principal="*",
                    condition={"Bool": {"aws:SecureTransport": "false"}},
                ),
            ]
        )
    )


def key_policy(account_id: str) -> str:
    """Lets the account manage the key by IAM policies, and the publishers use it for resources of this account.

    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
    """
    return json.dumps(
        document(
            [
                # AWS's default statement. Without it, nobody could change or delete the key.
                allow("kms:*", "*", sid="Account", principal={"AWS": f"arn:aws:iam::{account_id}:root"}),
                allow(
                    ["kms:Decrypt", "kms:GenerateDataKey*"],
                    "*",
                    sid="Publishers",
                    principal={"Service": list(PUBLISHERS)},
                    condition={"StringEquals": {"aws:SourceAccount": account_id}},
                ),
            ]
        )
    )
