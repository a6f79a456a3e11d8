"""The alarms of stacks with `airflow:alerts`: what they watch, whom they tell, and that their runbooks exist."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from components.alarm import RUNBOOKS, Alarm, Metric
from components.alarms import Alarms, AlarmsArgs
from engine.program import deploy
from engine.recording import Recording, Resource
from node.naming import API_SERVER_PORT
from settings import Severity
from tests.components.contexts import context
from tests.stack_queries import BROKER, DATABASE, GROUP, LOAD_BALANCER
from tests.stack_variants import VARIANTS, recorded
from tests.test_docs import ROOT, anchors

TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
SUBSCRIPTION = "aws:rds/eventSubscription:EventSubscription"
WITH_ALERTS = [variant for variant in VARIANTS if "airflow:alerts" in VARIANTS[variant]]
every_alerting_stack = pytest.mark.parametrize("variant", WITH_ALERTS)


def alarms(variant: str) -> list[Resource]:
    return recorded(variant).of_type(ALARM)


def alarm(name: str, variant: str = "alerts") -> dict[str, Any]:
    [found] = [each for each in alarms(variant) if each.name == f"alarms-{name}"]
    return dict(found.inputs)


def metrics(inputs: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics that an alarm reads, each with its dimensions."""
    queries = [query["metric"] for query in inputs.get("metricQueries", []) if "metric" in query]
    return queries or [inputs]


def _has_masters(target_group: Resource) -> bool:
    """The monitor's has no alarm: that on its group goes off when a new one does not help."""
    return target_group.inputs["port"] == API_SERVER_PORT


@every_alerting_stack
def test_every_alarm_says_where_its_runbook_is_and_it_is_there(variant: str):
    for each in alarms(variant):
        page, _, anchor = each.inputs["alarmDescription"].rpartition(" ")[2].partition("#")
        assert page.startswith(f"{RUNBOOKS}/"), each.name
        assert anchor in anchors(ROOT / page), f"{page} has no heading #{anchor} for {each.name}"


def test_every_heading_of_a_runbook_belongs_to_an_alarm():
    named = {each.inputs["alarmDescription"].rpartition(" ")[2] for variant in WITH_ALERTS for each in alarms(variant)}
    headings = {
        f"{RUNBOOKS}/{page.name}#{heading}"
        for page in (ROOT / RUNBOOKS).glob("*.md")
        for heading in anchors(page)
        if not heading.startswith("runbook-")
    }
    assert named | {f"{RUNBOOKS}/database.md#events-of-rds"} == headings


@every_alerting_stack
def test_every_alarm_tells_the_topic_of_a_severity_when_it_goes_off_and_when_it_is_over(variant: str):
    topics = {topic.outputs["arn"] for topic in recorded(variant).of_type("aws:sns/topic:Topic")}
    for each in alarms(variant):
        [told] = each.inputs["alarmActions"]
        assert told in topics, each.name
        assert each.inputs["okActions"] == [told], each.name
        assert len(each.inputs["alarmDescription"]) <= 1024, "CloudWatch's limit"


def test_without_the_section_only_retained_workers_raise_an_alarm_and_nobody_is_told():
    found = alarms("prod")
    assert {each.inputs["metricName"] for each in found} == {"GroupTerminatingRetainedInstances"}
    assert not any("alarmActions" in each.inputs for each in found)
    assert not recorded("prod").of_type(SUBSCRIPTION)


def known_dimensions(recording: Recording) -> set[tuple[str, str]]:
    """The dimensions with which AWS sends the metrics of the stack's resources."""
    of_type = recording.of_type
    return {
        *(("DBInstanceIdentifier", each.inputs["identifier"]) for each in of_type(DATABASE)),
        *(("CacheClusterId", node) for each in of_type(BROKER) for node in each.outputs["memberClusters"]),
        *(("LoadBalancer", each.outputs["arnSuffix"]) for each in of_type(LOAD_BALANCER)),
        *(("TargetGroup", each.outputs["arnSuffix"]) for each in of_type(TARGET_GROUP) if _has_masters(each)),
        *(("AutoScalingGroupName", each.inputs["name"]) for each in of_type(GROUP)),
        *(("NatGatewayId", each.id) for each in of_type("aws:ec2/natGateway:NatGateway")),
        *(("CertificateArn", each.outputs["arn"]) for each in of_type("aws:acm/certificate:Certificate")),
    }


@every_alerting_stack
def test_the_alarms_watch_every_such_resource_of_the_stack_and_nothing_else(variant: str):
    """An alarm on a name that does not exist never goes off, and nothing reports it."""
    found = [metric for each in alarms(variant) for metric in metrics(dict(each.inputs))]
    watched = {pair for metric in found for pair in metric["dimensions"].items()}
    assert watched == known_dimensions(recorded(variant))


@every_alerting_stack
def test_groups_send_the_metrics_that_alarms_watch(variant: str):
    enabled = {group.inputs["name"]: group.inputs["enabledMetrics"] for group in recorded(variant).of_type(GROUP)}
    for each in alarms(variant):
        for metric in metrics(dict(each.inputs)):
            if group := metric["dimensions"].get("AutoScalingGroupName"):
                assert metric["metricName"] in enabled[group], each.name


@every_alerting_stack
def test_an_expression_refers_to_all_of_its_metrics(variant: str):
    for each in alarms(variant):
        queries = each.inputs.get("metricQueries", [])
        ids = {query["id"] for query in queries if "metric" in query}
        for query in queries:
            if "expression" in query:
                assert set(re.findall(r"[a-z]\w*", query["expression"])) == ids, each.name
                assert query["returnData"] is True


def test_thresholds_follow_the_database_of_the_stack_file():
    assert alarm("database-storage-low")["threshold"] == 10 * 2**30, "a tenth of 100 GiB"
    assert alarm("database-storage-nearly-full")["threshold"] == 5 * 2**30
    parameters = recorded("alerts").only("aws:rds/parameterGroup:ParameterGroup").inputs["parameters"]
    [allowed] = [int(each["value"]) for each in parameters if each["name"] == "max_connections"]
    assert alarm("database-connections")["threshold"] == int(allowed * 0.9)


def test_only_burstable_types_have_alarms_on_cpu_credits():
    burstable = {variant: [each.name for each in alarms(variant) if "credits" in each.name] for variant in WITH_ALERTS}
    assert burstable == {
        "alerts": [],
        "alerts-small": ["alarms-broker-001-cpu-credits", "alarms-database-cpu-credits"],
        "monitoring": [],
    }


def test_only_a_broker_with_a_replica_has_alarms_on_replication():
    names = {variant: {each.name for each in alarms(variant)} for variant in WITH_ALERTS}
    replication = {"alarms-broker-failover", "alarms-broker-001-replication-lag", "alarms-broker-002-replication-lag"}
    assert replication <= names["alerts"]
    assert not [name for name in names["alerts-small"] if "failover" in name or "lag" in name]


def test_a_load_balancer_without_any_master_raises_an_alarm():
    """It has no such metric then."""
    assert alarm("internal-web-no-healthy-master")["treatMissingData"] == "breaching"


def test_an_expired_certificate_does_not_end_its_alarm():
    """It has no such metric any more."""
    assert alarm("certificate-expires")["treatMissingData"] == "ignore"


def test_percentiles_of_a_few_requests_raise_no_alarm():
    slow = alarm("internal-web-slow-responses")
    assert (slow["extendedStatistic"], slow["evaluateLowSampleCountPercentiles"]) == ("p95", "ignore")


def test_the_events_of_the_database_are_announced_by_severity():
    found = {each.name: each.inputs for each in recorded("alerts").of_type(SUBSCRIPTION)}
    critical = found["alarms-database-events-critical"]
    assert critical["eventCategories"] == ["failure"]
    assert critical["snsTopic"].endswith("-alerts-critical")
    assert set(found["alarms-database-events-warning"]["eventCategories"]) >= {"failover", "low storage", "maintenance"}
    assert all(each["sourceIds"] == ["airflow-prod-metadata"] for each in found.values())


@every_alerting_stack
def test_the_dashboard_shows_every_alarm_that_tells_somebody(variant: str):
    widgets = dashboard(variant)
    expected = [each.outputs["arn"] for each in alarms(variant) if each.name.startswith("alarms-")]
    states = [arn for each in widgets if each["type"] == "alarm" for arn in each["properties"]["alarms"]]
    graphs = [each["properties"]["annotations"]["alarms"] for each in widgets if each["type"] == "metric"]
    assert sorted(states) == sorted(expected)
    assert sorted(graphs) == sorted([arn] for arn in expected), "CloudWatch draws one alarm in a graph"


def test_a_graph_is_below_the_name_of_its_alarms_runbook():
    heading, headings = "", {}
    for each in dashboard("alerts"):
        heading = each["properties"].get("markdown", heading)
        if each["type"] == "metric":
            headings[each["properties"]["title"]] = heading
    for each in alarms("alerts"):
        name = each.name.removeprefix("alarms-")
        if name in headings:
            page = each.inputs["alarmDescription"].rpartition("/")[2].partition(".md")[0]
            assert headings[name] == f"## {page.replace('-', ' ').capitalize()}"


def test_a_dashboard_of_many_alarms_keeps_cloudwatchs_limits():
    metric = Metric(namespace="AWS/RDS", name="CPUUtilization", dimensions={}, statistic="Average")
    many = [
        Alarm(
            name=f"alarm-{number}",
            severity="warning",
            broken="It is.",
            runbook="database.md#cpu",
            metrics={"value": metric},
            above=0,
            periods=1,
        )
        for number in range(130)
    ]
    topics: dict[Severity, str] = {"critical": "arn:1", "warning": "arn:2"}
    args = AlarmsArgs(context=context(), topic_arns=topics, alarms=many, database="airflow-prod-metadata")
    _, recording = deploy(lambda: Alarms("alarms", args))
    widgets = json.loads(recording.only(DASHBOARD).inputs["dashboardBody"])["widgets"]
    assert len(widgets) <= 500
    assert [len(each["properties"]["alarms"]) for each in widgets if each["type"] == "alarm"] == [100, 30]


def dashboard(variant: str) -> list[dict[str, Any]]:
    return json.loads(recorded(variant).only(DASHBOARD).inputs["dashboardBody"])["widgets"]
