"""A CloudWatch alarm as data, and its registration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from settings import Severity

RUNBOOKS = "docs/runbooks"
# A burstable node earns 6 to 24 credits an hour, and a new one begins with none.
_CREDITS_SPENT = 1

Missing = Literal["notBreaching", "breaching", "ignore"]
"""What a period without data counts as. `notBreaching` suits metrics that AWS sends only when there is something to
count; `ignore`, which keeps the alarm's state, suits measurements of what may be away for minutes."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of a resource.

    Attributes:
        dimensions: exactly those with which AWS sends the metric.
        statistic: over one period: a simple statistic, or a percentile such as `p95`.
    """

    namespace: str
    name: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """When people are told, and what.

    Attributes:
        name: what is wrong, as a part of a name.
        broken: what is broken for whom, in sentences; the message that people get starts with it.
        runbook: the page in docs/runbooks/ and the heading that say what to do, as in a link.
        metrics: one metric, or several by the ids with which `expression` refers to them.
        expression: metric math over several metrics; empty for one.
        above, below: exactly one of them is set. A value breaches if it is greater, or less.
        seconds, periods: the alarm goes off when the value breaches in each of so many consecutive periods.
        once: whether a breach in any one of the periods is enough.
    """

    name: str
    severity: Severity
    broken: str
    runbook: str
    metrics: Mapping[str, Metric]
    expression: str = ""
    above: float | None = None
    below: float | None = None
    seconds: int = 300
    periods: int
    once: bool = False
    missing: Missing = "notBreaching"

    @property
    def description(self) -> str:
        """The message that people get."""
        return f"{self.broken} What to do: {RUNBOOKS}/{self.runbook}"


@dataclass(frozen=True)
class Watch:
    """Makes the alarms on one resource.

    Attributes:
        prefix: the first part of the alarms' names.
        page: their page in docs/runbooks/.
        missing: see `Alarm`.
    """

    namespace: str
    dimensions: Mapping[str, pulumi.Input[str]]
    prefix: str
    page: str
    missing: Missing = "notBreaching"

    def metric(self, name: str, statistic: str) -> Metric:
        return Metric(namespace=self.namespace, name=name, dimensions=self.dimensions, statistic=statistic)

    def alarm(
        self,
        name: str,
        severity: Severity,
        broken: str,
        metric: Metric,
        *,
        above: float | None = None,
        below: float | None = None,
        seconds: int = 300,
        periods: int,
        runbook: str,
        missing: Missing | None = None,
    ) -> Alarm:
        return Alarm(
            name=f"{self.prefix}-{name}",
            severity=severity,
            broken=broken,
            runbook=f"{self.page}#{runbook}",
            metrics={"value": metric},
            above=above,
            below=below,
            seconds=seconds,
            periods=periods,
            missing=missing or self.missing,
        )

    def credits(self, broken: str) -> Alarm:
        return self.alarm(
            "cpu-credits",
            "warning",
            broken,
            self.metric("CPUCreditBalance", "Maximum"),
            below=_CREDITS_SPENT,
            periods=12,
            runbook="cpu-credits",
        )


def metric_alarm(
    logical_name: str,
    alarm: Alarm,
    *,
    name: str,
    topic_arn: pulumi.Input[str] | None,
    opts: pulumi.ResourceOptions,
) -> aws.cloudwatch.MetricAlarm:
    """Register an alarm under a physical name. It tells the topic when it goes off and when it is over."""
    actions: Sequence[pulumi.Input[str]] | None = None if topic_arn is None else [topic_arn]
    watched: dict[str, Any] = {"metric_queries": _queries(alarm)} if alarm.expression else _single(alarm)
    return aws.cloudwatch.MetricAlarm(
        logical_name,
        name=name,
        alarm_description=alarm.description,
        comparison_operator="LessThanThreshold" if alarm.above is None else "GreaterThanThreshold",
        threshold=alarm.below if alarm.above is None else alarm.above,
        evaluation_periods=alarm.periods,
        datapoints_to_alarm=1 if alarm.once else None,
        treat_missing_data=alarm.missing,
        alarm_actions=actions,
        ok_actions=actions,
        opts=opts,
        **watched,
    )


def _single(alarm: Alarm) -> dict[str, Any]:
    [metric] = alarm.metrics.values()
    percentile = metric.statistic.startswith("p")
    return {
        "namespace": metric.namespace,
        "metric_name": metric.name,
        "dimensions": metric.dimensions,
        "extended_statistic" if percentile else "statistic": metric.statistic,
        "period": alarm.seconds,
        # Of a handful of requests a percentile says nothing.
        **({"evaluate_low_sample_count_percentiles": "ignore"} if percentile else {}),
    }


def _queries(alarm: Alarm) -> list[aws.cloudwatch.MetricAlarmMetricQueryArgs]:
    query = aws.cloudwatch.MetricAlarmMetricQueryArgs
    return [
        query(id="value", expression=alarm.expression, label=alarm.name, return_data=True),
        *(
            query(
                id=id_,
                metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                    namespace=metric.namespace,
                    metric_name=metric.name,
                    dimensions=metric.dimensions,
                    stat=metric.statistic,
                    period=alarm.seconds,
                ),
            )
            for id_, metric in alarm.metrics.items()
        ),
    ]
