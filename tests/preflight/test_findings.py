"""What each check says about an account in which something is wrong, or that belongs to a running cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from preflight.checks import Finding
from preflight.compute import quota_class
from preflight.needs import CLUSTER_TAG
from preflight.quotas import STANDARD
from tests.preflight.conftest import Preflight, plan_of
from tests.preflight.faults import FAULTS
from tests.preflight.faults.fault import BUCKET, OUR_KEY, Fault
from tests.preflight.recorded_aws import an_instance, as_tags, evaluated

Preflights = Callable[..., Preflight]
DEFAULT_TAGS = {"Project": "airflow", "Environment": "prod"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.title)
def test_what_is_wrong_is_found(preflight: Preflights, fault: Fault):
    found = preflight(fault.variant, **fault.answers).findings(fault.title)
    about_it = [each for each in found if all(text in each.text for text in fault.texts)]
    assert fault.verdict in [each.verdict for each in about_it], found


def test_every_check_can_find_something_wrong():
    from preflight.__main__ import CHECKS

    assert {check.title for check in CHECKS} == {fault.title for fault in FAULTS if fault.verdict == "will fail"}


def the_groups(cluster: str) -> Mapping[str, Any]:
    """The Auto Scaling groups of a cluster that exists."""
    return {
        "AutoScalingGroups": [
            {
                "AutoScalingGroupName": f"{cluster}-masters",
                "MinSize": 1,
                "MaxSize": 1,
                "DesiredCapacity": 1,
                "DefaultCooldown": 300,
                "AvailabilityZones": [],
                "HealthCheckType": "EC2",
                "CreatedTime": datetime(2026, 1, 1, tzinfo=UTC),
                "Tags": as_tags(
                    {**DEFAULT_TAGS, CLUSTER_TAG: cluster, "Name": f"{cluster}-master", "airflow:role": "master"}
                ),
            }
        ]
    }


def bucket_of(tags: Mapping[str, str]) -> Mapping[str, Any]:
    return {"s3__ListBuckets": {"Buckets": [{"Name": BUCKET}]}, "s3__GetBucketTagging": {"TagSet": as_tags(tags)}}


def about(findings: list[Finding], name: str) -> Finding:
    return next(each for each in findings if name in each.text)


@pytest.mark.parametrize(
    ("tags", "cluster", "verdict", "text"),
    [
        (DEFAULT_TAGS, "airflow-prod", "pass", "exists and belongs to this cluster"),
        ({"Project": "other"}, "another", "will fail", "give the cluster another airflow:cluster.name"),
        ({"Project": "other"}, "airflow-prod", "cannot tell", "somebody else's"),
        (DEFAULT_TAGS, "another", "cannot tell", "left it behind"),
    ],
)
def test_a_name_is_the_clusters_own_if_its_tags_and_a_group_say_so(
    preflight: Preflights, tags: Mapping[str, str], cluster: str, verdict: str, text: str
):
    answers = {**bucket_of(tags), "autoscaling__DescribeAutoScalingGroups": the_groups(cluster)}
    finding = about(preflight("prod", **answers).findings("names"), BUCKET)
    assert (finding.verdict, text in finding.text) == (verdict, True), finding


@pytest.mark.parametrize(("tags", "verdict"), [(DEFAULT_TAGS, "pass"), ({}, "cannot tell")])
def test_an_alias_belongs_to_the_owner_of_its_key(preflight: Preflights, tags: Mapping[str, str], verdict: str):
    answers = {
        "kms__DescribeKey": {"KeyMetadata": OUR_KEY},
        "kms__ListResourceTags": {"Tags": [{"TagKey": key, "TagValue": value} for key, value in tags.items()]},
        "autoscaling__DescribeAutoScalingGroups": the_groups("airflow-prod"),
    }
    finding = about(preflight("alerts", **answers).findings("names"), "alias/airflow-prod-alerts")
    assert finding.verdict == verdict


def test_a_topic_of_the_same_name_is_found(preflight: Preflights):
    topic = {"Topics": [{"TopicArn": "arn:aws:sns:eu-west-1:111122223333:airflow-prod-alerts-warning"}]}
    finding = about(preflight("alerts", sns__ListTopics=topic).findings("names"), "airflow-prod-alerts-warning")
    assert finding.verdict == "will fail"


def test_nodes_of_the_cluster_count_once_and_those_of_others_count_beside_the_plan(preflight: Preflights):
    running = [
        an_instance("m7i.large", 2, tags={CLUSTER_TAG: "airflow-prod"}),
        an_instance("c7i.large", 2, tags={CLUSTER_TAG: "another"}),
        an_instance("t3.micro", 1),
        an_instance("g5.xlarge", 4),
        an_instance("m7i.large", 2, InstanceLifecycle="spot"),
    ]
    answer = {"Reservations": [{"Instances": running}]}
    (finding,) = preflight("prod", ec2__DescribeInstances=answer).findings("quotas: vCPUs")
    assert finding.text.startswith("vCPUs of on-demand instances (standard): 3 used by others, 54 planned")


def test_a_network_that_exists_counts_once(preflight: Preflights):
    ours = as_tags({**DEFAULT_TAGS, "Name": "airflow-prod"})
    found = preflight("prod", ec2__DescribeVpcs={"Vpcs": [{"Tags": ours}, {"Tags": []}]}).findings("quotas: network")
    assert "VPCs: 1 used by others, 1 planned" in about(found, "VPCs").text


@pytest.mark.parametrize(
    ("type_", "class_"),
    [
        ("m7i.large", STANDARD),
        ("im4gn.large", STANDARD),
        ("g5.xlarge", "G and VT"),
        ("gr6.4xlarge", "G and VT"),
        ("inf2.xlarge", "Inf"),
        ("p5.48xlarge", "P"),
        ("trn1.2xlarge", "Trn"),
        ("u-6tb1.metal", "high memory"),
        ("x2gd.medium", "X"),
    ],
)
def test_a_type_counts_against_the_quota_of_its_family(type_: str, class_: str):
    assert quota_class(type_) == class_


def test_a_quota_without_an_applied_value_has_aws_default_and_else_the_documented_one(preflight: Preflights):
    by_default = preflight(
        service_quotas__GetServiceQuota="NoSuchResourceException",
        service_quotas__GetAWSDefaultServiceQuota={"Quota": {"Value": 7.0}},
    )
    assert "VPCs: 0 used by others, 1 planned, 7 allowed" in about(by_default.findings("quotas: network"), "VPCs").text
    unlisted = preflight(service_quotas__GetServiceQuota="NoSuchResourceException")
    assert "VPCs: 0 used by others, 1 planned, 5 allowed" in about(unlisted.findings("quotas: network"), "VPCs").text


def test_the_policies_of_an_assumed_role_are_those_of_the_role_with_its_path(preflight: Preflights):
    sources = set()

    def simulate(given: Mapping[str, Any]) -> Mapping[str, Any]:
        sources.add(given["PolicySourceArn"])
        return evaluated(given, {})

    preflight(iam__SimulatePrincipalPolicy=simulate).findings("permissions of the caller")
    assert sources == {"arn:aws:iam::111122223333:role/teams/data/deployer"}


def test_actions_are_simulated_on_the_planned_resource_and_lists_on_all(preflight: Preflights):
    asked: dict[str, str] = {}

    def simulate(given: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.update(dict.fromkeys(given["ActionNames"], given["ResourceArns"][0]))
        return evaluated(given, {})

    preflight(iam__SimulatePrincipalPolicy=simulate).findings("permissions of the caller")
    assert asked["rds:CreateDBInstance"] == "arn:aws:rds:eu-west-1:111122223333:db:airflow-prod-metadata"
    assert asked["ec2:DescribeSubnets"] == asked["ec2:RunInstances"] == "*"
    assert asked["secretsmanager:GetSecretValue"].startswith(
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:airflow-prod/"
    )


def test_the_root_user_needs_no_simulation(preflight: Preflights):
    root = {"Account": "111122223333", "Arn": "arn:aws:iam::111122223333:root", "UserId": "111122223333"}
    prepared = preflight(sts__GetCallerIdentity=root, iam__SimulatePrincipalPolicy="ValidationError")
    (finding,) = prepared.findings("permissions of the caller")
    assert finding.verdict == "pass"
    assert "root user" in finding.text


def test_masters_are_counted_with_the_one_that_an_update_starts_first():
    masters = next(group for group in plan_of("prod").groups if group.name == "airflow-prod-masters")
    assert (masters.on_demand, masters.spot) == (3, 0)


def test_spot_workers_are_counted_apart():
    default = next(group for group in plan_of("spot").groups if group.name == "airflow-prod-pool-default")
    assert (default.on_demand, default.spot) == (4, 4)


def test_an_outage_of_one_service_is_not_a_denial(preflight: Preflights):
    (finding,) = preflight(rds__DescribeDBInstances="InternalFailure").findings("quotas: database")
    assert finding.verdict == "cannot tell"
    assert finding.text == "AWS answered rds:DescribeDBInstances with InternalFailure: as recorded"
