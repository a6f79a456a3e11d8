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
from tests.preflight.recorded_aws import (
    IMAGE,
    KEY,
    ZONES,
    an_instance,
    as_tags,
    evaluated,
    image,
    orderable,
    role,
)

Preflights = Callable[..., Preflight]
SECRET = "airflow-prod/fernet-key"
BUCKET = "airflow-prod-111122223333-eu-west-1-dags"
DEFAULT_TAGS = {"Project": "airflow", "Environment": "prod"}
OUR_KEY = {"KeyId": "k", "Arn": KEY, "KeyState": "Enabled", "KeyManager": "CUSTOMER"}
SCALING_ROLE = "arn:aws:iam::111122223333:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"


def simulation(**others: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
    """A caller who may do everything but these."""
    decided = {name.replace("__", ":"): each for name, each in others.items()}
    return lambda given: evaluated(given, decided)


def without_role(name: str) -> Callable[[Mapping[str, Any]], Any]:
    """An account that lacks one of the service-linked roles."""
    return lambda given: "NoSuchEntity" if given["RoleName"] == name else role(given["RoleName"])


def offerings(*lacking: tuple[str, str]) -> Callable[[Mapping[str, Any]], Any]:
    """Every type in every zone but these."""
    return lambda given: {
        "InstanceTypeOfferings": [
            {"InstanceType": name, "Location": zone}
            for name in given["Filters"][0]["Values"]
            for zone in ZONES
            if (name, zone) not in lacking
        ]
    }


def quota_of(code: str, value: float) -> Callable[[Mapping[str, Any]], Any]:
    """The quota of this code has a value, every other one is large."""
    return lambda given: {"Quota": {"Value": value if given["QuotaCode"] == code else 1e6}}


def zones_with(name: str, **state: str) -> Mapping[str, Any]:
    """The region's zones, one of them in another state."""
    found = [{"ZoneName": zone, "State": "available", "OptInStatus": "opt-in-not-required"} for zone in ZONES]
    return {"AvailabilityZones": [{**zone, **state} if zone["ZoneName"] == name else zone for zone in found]}


def engine(version: str, family: str) -> Mapping[str, Any]:
    return {"DBEngineVersions": [{"Engine": "postgres", "EngineVersion": version, "DBParameterGroupFamily": family}]}


def cache(version: str, family: str) -> Mapping[str, Any]:
    return {"CacheEngineVersions": [{"EngineVersion": version, "CacheParameterGroupFamily": family}]}


def hosted_zone(name: str, *, private: bool = False) -> Mapping[str, Any]:
    described = {"Id": "Z1", "Name": name, "CallerReference": "x", "Config": {"PrivateZone": private}}
    return {"HostedZone": described, "DelegationSet": {"NameServers": ["ns-1.awsdns-01.org"]}}


# Title of the check, variant, what AWS answers differently, the verdict and what the finding says.
FAULTS: list[tuple[str, str, Mapping[str, Any], str, list[str]]] = [
    (
        "permissions of the caller",
        "prod",
        {"iam__SimulatePrincipalPolicy": simulation(rds__CreateDBInstance={"EvalDecision": "implicitDeny"})},
        "will fail",
        ["may not rds:CreateDBInstance"],
    ),
    (
        "permissions of the caller",
        "prod",
        {
            "iam__SimulatePrincipalPolicy": simulation(
                ec2__CreateVpc={"EvalDecision": "implicitDeny", "MissingContextValues": ["aws:MultiFactorAuthPresent"]}
            )
        },
        "cannot tell",
        ["ec2:CreateVpc", "aws:MultiFactorAuthPresent"],
    ),
    (
        "service-linked roles",
        "prod",
        {
            "iam__GetRole": without_role("AWSServiceRoleForRDS"),
            "iam__SimulatePrincipalPolicy": simulation(iam__CreateServiceLinkedRole={"EvalDecision": "explicitDeny"}),
        },
        "will fail",
        ["AWSServiceRoleForRDS does not exist", "create-service-linked-role --aws-service-name rds.amazonaws.com"],
    ),
    (
        "service-linked roles",
        "spot",
        {"iam__GetRole": without_role("AWSServiceRoleForEC2Spot")},
        "pass",
        ["EC2Spot is created"],
    ),
    (
        "names",
        "prod",
        {"s3__HeadBucket": lambda given: "403" if given["Bucket"] == BUCKET else "404"},
        "will fail",
        [BUCKET, "another account", "airflow:cluster.name"],
    ),
    (
        "names",
        "prod",
        {
            "secretsmanager__ListSecrets": {
                "SecretList": [{"Name": SECRET, "DeletedDate": datetime(2026, 11, 1, tzinfo=UTC)}]
            }
        },
        "will fail",
        [SECRET, "scheduled for deletion", "--force-delete-without-recovery --region eu-west-1"],
    ),
    (
        "zones",
        "prod",
        {"ec2__DescribeAvailabilityZones": zones_with("eu-west-1c", State="impaired")},
        "will fail",
        ["eu-west-1c", "eu-west-1a, eu-west-1b"],
    ),
    (
        "zones",
        "prod",
        {"ec2__DescribeAvailabilityZones": zones_with("eu-west-1c", OptInStatus="not-opted-in")},
        "will fail",
        ["eu-west-1c"],
    ),
    (
        "existing network",
        "existing-vpc",
        {"ec2__DescribeSubnets": {"Subnets": []}},
        "will fail",
        ["subnet-0a1b2c3d4e5f60718", "airflow:network.existing"],
    ),
    (
        "database",
        "prod",
        {"rds__DescribeDBEngineVersions": {"DBEngineVersions": []}},
        "will fail",
        ["postgres 17", "describe-db-engine-versions"],
    ),
    (
        "database",
        "prod",
        {"rds__DescribeDBEngineVersions": engine("17.9", "postgres17-v2")},
        "will fail",
        ["postgres17-v2"],
    ),
    (
        "database",
        "prod",
        {"rds__DescribeOrderableDBInstanceOptions": {"OrderableDBInstanceOptions": []}},
        "will fail",
        ["db.m7g.large with postgres 17.10", "gp3"],
    ),
    (
        "database",
        "prod",
        {"rds__DescribeOrderableDBInstanceOptions": orderable(StorageType="io1")},
        "will fail",
        ["gp3"],
    ),
    (
        "database",
        "prod",
        {"rds__DescribeOrderableDBInstanceOptions": orderable(MultiAZCapable=False)},
        "will fail",
        ["standby"],
    ),
    (
        "database",
        "prod",
        {"rds__DescribeOrderableDBInstanceOptions": orderable(AvailabilityZones=[{"Name": ZONES[0]}])},
        "will fail",
        ["only in eu-west-1a", "2 are needed"],
    ),
    (
        "database",
        "prod",
        {"rds__DescribeOrderableDBInstanceOptions": orderable(MaxStorageSize=400)},
        "will fail",
        ["20 to 400 GiB"],
    ),
    (
        "broker",
        "prod",
        {"elasticache__DescribeCacheEngineVersions": cache("7.2", "valkey7")},
        "will fail",
        ["valkey 8.2", "7.2"],
    ),
    (
        "broker",
        "prod",
        {"elasticache__DescribeCacheEngineVersions": cache("8.2", "valkey8.2")},
        "will fail",
        ["valkey8.2"],
    ),
    (
        "broker",
        "prod",
        {"elasticache__DescribeReservedCacheNodesOfferings": {}},
        "will fail",
        ["cache.m7g.large", "airflow:broker.nodeType"],
    ),
    (
        "hosted zone",
        "public",
        {"route53__GetHostedZone": "NoSuchHostedZone"},
        "will fail",
        ["Z0123456789ABCDEFGHIJ", "airflow:web.hostedZoneId"],
    ),
    (
        "hosted zone",
        "public",
        {"route53__GetHostedZone": hosted_zone("ple.com.")},
        "will fail",
        ["airflow.example.com is not in"],
    ),
    (
        "hosted zone",
        "public",
        {"route53__GetHostedZone": hosted_zone("example.com.", private=True)},
        "will fail",
        ["private"],
    ),
    ("node images", "spot", {"ec2__DescribeImages": {"Images": []}}, "will fail", [IMAGE, "make node-image"]),
    (
        "node images",
        "prod",
        {"ssm__GetParameters": {"Parameters": []}, "ec2__DescribeImages": {"Images": []}},
        "will fail",
        ["/aws/service/debian/release/13/latest/amd64"],
    ),
    ("node images", "prod", {"ec2__DescribeImages": image(State="deregistered")}, "will fail", ["is deregistered"]),
    (
        "node images",
        "prod",
        {"ec2__DescribeImages": image(Architecture="arm64")},
        "will fail",
        ["is for arm64", "m7i.large"],
    ),
    (
        "node images",
        "prod",
        {"ec2__DescribeImages": image(RootDeviceName="/dev/sda1")},
        "will fail",
        ["/dev/sda1", "/dev/xvda"],
    ),
    (
        "node images",
        "prod",
        {"ec2__DescribeImages": image(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 80}}])},
        "will fail",
        ["80 GiB", "rootVolumeGib"],
    ),
    (
        "node images",
        "prod",
        {"ec2__DescribeImages": image(DeprecationTime="2026-01-02T00:00:00.000Z")},
        "pass",
        ["deprecated since 2026-01-02"],
    ),
    (
        "key for EBS volumes",
        "prod",
        {"ec2__GetEbsDefaultKmsKeyId": {"KmsKeyId": KEY}, "kms__DescribeKey": {"KeyMetadata": OUR_KEY}},
        "will fail",
        [KEY, "AWSServiceRoleForAutoScaling", "grant"],
    ),
    (
        "key for EBS volumes",
        "prod",
        {"kms__DescribeKey": {"KeyMetadata": {**OUR_KEY, "KeyState": "PendingDeletion"}}},
        "will fail",
        ["PendingDeletion"],
    ),
    (
        "key for EBS volumes",
        "prod",
        {"ec2__GetEbsDefaultKmsKeyId": {"KmsKeyId": KEY}, "kms__DescribeKey": "NotFoundException"},
        "will fail",
        ["does not exist"],
    ),
    ("key for EBS volumes", "prod", {"kms__DescribeKey": "NotFoundException"}, "pass", ["created by the first use"]),
    (
        "key for EBS volumes",
        "prod",
        {
            "kms__DescribeKey": {"KeyMetadata": OUR_KEY},
            "kms__ListGrants": {"Grants": [{"GranteePrincipal": SCALING_ROLE}]},
        },
        "pass",
        ["admits"],
    ),
    (
        "key for EBS volumes",
        "prod",
        {"kms__DescribeKey": {"KeyMetadata": OUR_KEY}, "kms__GetKeyPolicy": {"Policy": SCALING_ROLE}},
        "pass",
        ["admits"],
    ),
    (
        "instance types",
        "prod",
        {"ec2__DescribeInstanceTypeOfferings": offerings(("m7i.large", "eu-west-1c"))},
        "will fail",
        ["airflow-prod-masters", "eu-west-1c"],
    ),
    (
        "instance types",
        "prod",
        {"ec2__DescribeInstanceTypeOfferings": offerings(("m7a.xlarge", "eu-west-1c"))},
        "pass",
        ["m7a.xlarge not in eu-west-1c"],
    ),
    (
        "quotas: vCPUs",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-1216C47A", 32)},
        "will fail",
        ["0 used by others, 54 planned, 32 allowed", "--quota-code L-1216C47A --desired-value 54"],
    ),
    (
        "quotas: vCPUs",
        "spot",
        {"service_quotas__GetServiceQuota": quota_of("L-34B43A08", 5)},
        "will fail",
        ["vCPUs of spot instances (standard)", "16 planned"],
    ),
    (
        "quotas: network",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-0263D0A3", 2)},
        "will fail",
        ["Elastic IP addresses: 0 used by others, 3 planned, 2 allowed"],
    ),
    (
        "quotas: network",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-FE5A380F", 0)},
        "will fail",
        ["NAT gateways in a zone eu-west-1b"],
    ),
    ("quotas: network", "prod", {"service_quotas__GetServiceQuota": quota_of("L-F678F1CE", 0)}, "will fail", ["VPCs"]),
    (
        "quotas: network",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-0EA8095F", 1)},
        "will fail",
        ["rules of a security group"],
    ),
    (
        "quotas: network",
        "endpoints",
        {"service_quotas__GetServiceQuota": quota_of("L-29B6F2EB", 1)},
        "will fail",
        ["interface endpoints"],
    ),
    (
        "quotas: load balancers",
        "public",
        {"service_quotas__GetServiceQuota": quota_of("L-53DA6B97", 1)},
        "will fail",
        ["2 planned, 1 allowed"],
    ),
    (
        "quotas: load balancers",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-B22855CB", 0)},
        "will fail",
        ["target groups"],
    ),
    (
        "quotas: database",
        "prod",
        {"rds__DescribeDBInstances": {"DBInstances": [{"DBInstanceIdentifier": "x", "AllocatedStorage": 950}]}},
        "will fail",
        ["950 used by others, 100 planned, 1,000 allowed"],
    ),
    (
        "quotas: broker",
        "prod",
        {"elasticache__DescribeCacheClusters": {"CacheClusters": [{"NumCacheNodes": 999}]}},
        "will fail",
        ["999 used by others, 2 planned, 1,000 allowed"],
    ),
    (
        "quotas: buckets, secrets",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-DC2B2D3D", 3)},
        "will fail",
        ["buckets"],
    ),
    (
        "quotas: launch templates",
        "prod",
        {"service_quotas__GetServiceQuota": quota_of("L-FB451C26", 2)},
        "will fail",
        ["launch templates"],
    ),
    (
        "quotas: IAM",
        "prod",
        {
            "iam__GetAccountSummary": {
                "SummaryMap": {"Roles": 999, "RolesQuota": 1_000, "InstanceProfiles": 1, "InstanceProfilesQuota": 1_000}
            }
        },
        "will fail",
        ["roles: 999 used by others"],
    ),
    (
        "endpoint services",
        "endpoints",
        {"ec2__DescribeVpcEndpointServices": {"ServiceDetails": []}},
        "will fail",
        ["com.amazonaws.eu-west-1.secretsmanager", "interfaceEndpoints"],
    ),
    (
        "endpoint services",
        "endpoints",
        {
            "ec2__DescribeVpcEndpointServices": lambda given: {
                "ServiceDetails": [
                    {"ServiceName": name, "AvailabilityZones": list(ZONES[:2])}
                    for name in given["Filters"][0]["Values"]
                ]
            }
        },
        "will fail",
        ["eu-west-1c"],
    ),
]


@pytest.mark.parametrize(("title", "variant", "changes", "verdict", "texts"), FAULTS)
def test_what_is_wrong_is_found(
    preflight: Preflights, title: str, variant: str, changes: Mapping[str, Any], verdict: str, texts: list[str]
):
    found = preflight(variant, **changes).findings(title)
    matching = [each for each in found if each.verdict == verdict and all(text in each.text for text in texts)]
    assert matching, found


def test_every_check_can_find_something_wrong():
    from preflight.__main__ import CHECKS

    assert {check.title for check in CHECKS} == {title for title, _, _, verdict, _ in FAULTS if verdict == "will fail"}


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
