"""The alarms of a cluster, the dashboard that shows them, and the events of its database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

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
    """CloudWatch alarms that tell a topic when they go off and when they are over, and the database's events.

    A dashboard has a graph of each alarm with its threshold.
    """

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:alerts:Alarms", name, None, opts)
        arns = {
            alarm.name: metric_alarm(
                f"{name}-{alarm.name}",
                alarm,
                name=f"{args.context.cluster}-{alarm.name}",
                topic_arn=args.topic_arns[alarm.severity],
                opts=self.child(),
            ).arn
            for alarm in args.alarms
        }
        aws.cloudwatch.Dashboard(
            f"{name}-dashboard",
            dashboard_name=dashboard_name(args.context),
            dashboard_body=pulumi.Output.json_dumps({"widgets": _widgets(args.alarms, arns, args.context.region)}),
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


def dashboard_name(context: Context) -> str:
    """The name of the dashboard. It has the region in it, because the names of dashboards are for all regions:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html
    """
    return f"{context.cluster}-{context.region}-alerts"


def _widgets(alarms: Sequence[Alarm], arns: Mapping[str, pulumi.Output[str]], region: str) -> list[dict[str, Any]]:
    """The state of all alarms, then their graphs, three in a row, under the names of their pages in docs/runbooks/.

    The format, with the limits of 500 widgets and of 100 alarms in one:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """
    every = list(arns.values())
    widgets: list[dict[str, Any]] = [
        {
            "type": "alarm",
            "width": 24,
            "height": 6,
            # Those that are going off come first.
            "properties": {"title": "Alarms", "sortBy": "stateUpdatedTimestamp", "alarms": every[first : first + 100]},
        }
        for first in range(0, len(every), 100)
    ]
    for page, group in groupby(sorted(alarms, key=_page), key=_page):
        heading = f"## {page.replace('-', ' ').capitalize()}"
        widgets.append({"type": "text", "width": 24, "height": 1, "properties": {"markdown": heading}})
        widgets += [_graph(alarm, arns[alarm.name], region) for alarm in group]
    return widgets


def _page(alarm: Alarm) -> str:
    return alarm.runbook.partition(".md")[0]


def _graph(alarm: Alarm, arn: pulumi.Output[str], region: str) -> dict[str, Any]:
    """CloudWatch takes the metrics and the threshold from the alarm."""
    properties = {"title": alarm.name, "view": "timeSeries", "region": region, "annotations": {"alarms": [arn]}}
    return {"type": "metric", "width": 8, "height": 6, "properties": properties}
