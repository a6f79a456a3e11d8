"""The alarms of a cluster, and the events of its database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.alarm import Alarm, metric_alarm
from components.component import Component
from components.context import Context
from settings import Severity

# RDS announces by category, not by event. "low storage" comes before each growth of the storage, hence it is no more
# than a warning; that the storage cannot grow is a failure.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html
DATABASE_EVENTS: Mapping[Severity, Sequence[str]] = {
    "critical": ("failure",),
    "warning": ("availability", "failover", "low storage", "maintenance", "recovery"),
}


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    """What is watched, and who is told.

    Attributes:
        topic_arns: the topics to publish to, by severity.
        database: the identifier of an RDS instance that exists.
    """

    context: Context
    topic_arns: Mapping[Severity, pulumi.Input[str]]
    alarms: Sequence[Alarm]
    database: pulumi.Input[str]


class Alarms(Component):
    """CloudWatch alarms that tell a topic when they go off and when they are over, and the database's events."""

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:alerts:Alarms", name, None, opts)
        for alarm in args.alarms:
            metric_alarm(
                f"{name}-{alarm.name}",
                alarm,
                name=f"{args.context.cluster}-{alarm.name}",
                topic_arn=args.topic_arns[alarm.severity],
                opts=self.child(),
            )
        for severity, categories in DATABASE_EVENTS.items():
            aws.rds.EventSubscription(
                f"{name}-database-events-{severity}",
                name=f"{args.context.cluster}-database-{severity}",
                sns_topic=args.topic_arns[severity],
                source_type="db-instance",
                source_ids=[args.database],
                event_categories=list(categories),
                opts=self.child(),
            )
        self.register_outputs({})
