"""AWS Foundational Security Best Practices, as far as they apply to a program: each control passes or is waived.

Ids are those of AWS Security Hub (https://docs.aws.amazon.com/securityhub/latest/userguide/fsbp-standard.html), or of
checkov where AWS has none. `pytest -v tests/test_security_baseline.py` is the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from engine.recording import Recording
from settings import Settings
from tests.stack_queries import (
    ATTACHMENT,
    BROKER,
    BUCKET,
    DATABASE,
    EGRESS,
    GROUP,
    INGRESS,
    LISTENER,
    LOAD_BALANCER,
    TEMPLATE,
    all_statements,
    as_list,
    has_part,
    statements,
)
from tests.stack_variants import VARIANTS, recorded, settings_of
from tests.support.listener_rules import action_for

VPC = "aws:ec2/vpc:Vpc"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
SECRET = "aws:secretsmanager/secret:Secret"

Inputs = Mapping[str, Any]
# The names of the resources that do not meet the control.
Check = Callable[[Recording, Settings], list[str]]


def each(type_: str, meets: Callable[[Inputs], object]) -> Check:
    """Every resource of the type meets the control by its own inputs."""
    return lambda recording, _: [r.name for r in recording.of_type(type_) if not meets(r.inputs)]


def each_protected(type_: str, meets: Callable[[Inputs], object]) -> Check:
    """Like `each`, but only in stacks that protect their data: the others are for trying things out."""
    check = each(type_, meets)
    return lambda recording, settings: check(recording, settings) if settings.cluster.protect_data else []


def each_bucket_has(*parts: str) -> Check:
    return lambda recording, _: [
        bucket.name
        for bucket in recording.of_type(BUCKET)
        if not all(has_part(recording, bucket, part) for part in parts)
    ]


def interfaces(template: Inputs) -> list[Inputs]:
    return template["networkInterfaces"]


def instance_types(group: Inputs) -> list[str]:
    mixed = group.get("mixedInstancesPolicy", {}).get("launchTemplate", {})
    return [override["instanceType"] for override in mixed.get("overrides", [])]


def http_that_is_not_redirected(recording: Recording, _: Settings) -> list[str]:
    plain = [listener for listener in recording.of_type(LISTENER) if listener.inputs["protocol"] == "HTTP"]
    actions = {listener.name: action_for(recording.resources, listener, "/") for listener in plain}
    return [name for name, action in actions.items() if action.get("redirect", {}).get("protocol") != "HTTPS"]


def behind_a_load_balancer_without_its_health_check(recording: Recording, _: Settings) -> list[str]:
    attached = {attachment.inputs["autoscalingGroupName"] for attachment in recording.of_type(ATTACHMENT)}
    assert attached, "the masters are"
    groups = [group for group in recording.of_type(GROUP) if group.inputs["name"] in attached]
    return [group.name for group in groups if group.inputs["healthCheckType"] != "ELB"]


def own_vpc_without_flow_log(recording: Recording, _: Settings) -> list[str]:
    logged = {log.inputs["vpcId"] for log in recording.of_type("aws:ec2/flowLog:FlowLog")}
    return [vpc.name for vpc in recording.of_type(VPC) if vpc.id not in logged]


def open_to_the_world_except_https(recording: Recording, _: Settings) -> list[str]:
    return [
        rule.name
        for rule in recording.of_type(INGRESS)
        if rule.inputs.get("cidrIpv4") == "0.0.0.0/0" and rule.inputs["fromPort"] != 443
    ]


def allows_a_whole_service(recording: Recording, _: Settings) -> list[str]:
    return [
        policy.name
        for policy, statement in all_statements(recording)
        if statement["Effect"] == "Allow" and any(action.endswith("*") for action in as_list(statement["Action"]))
    ]


def strangers_may_publish(recording: Recording, _: Settings) -> list[str]:
    return [
        policy.name
        for policy in recording.of_type("aws:sns/topicPolicy:TopicPolicy")
        for statement in statements(policy)
        if statement["Effect"] == "Allow" and "aws:SourceAccount" not in str(statement.get("Condition"))
    ]


CONTROLS: Mapping[str, Check] = {
    "RDS.2 not public": each(DATABASE, lambda i: i["publiclyAccessible"] is False),
    "RDS.3 encrypted": each(DATABASE, lambda i: i["storageEncrypted"]),
    "RDS.5 Multi-AZ": each_protected(DATABASE, lambda i: i["multiAz"]),
    "RDS.6 enhanced monitoring": each(DATABASE, lambda i: i["monitoringInterval"] > 0),
    "RDS.8 deletion protection": each_protected(DATABASE, lambda i: i["deletionProtection"]),
    "RDS.10 IAM authentication": each(DATABASE, lambda i: i.get("iamDatabaseAuthenticationEnabled")),
    "RDS.11 backups of a week": each_protected(DATABASE, lambda i: i["backupRetentionPeriod"] >= 7),
    "RDS.13 minor upgrades": each(DATABASE, lambda i: i["autoMinorVersionUpgrade"]),
    "RDS.17 tags on snapshots": each(DATABASE, lambda i: i["copyTagsToSnapshot"]),
    "RDS.18 in a VPC": each(DATABASE, lambda i: i["dbSubnetGroupName"]),
    "RDS.20 events are announced": lambda recording, _: (
        [] if recording.of_type("aws:rds/eventSubscription:EventSubscription") else ["no event subscription"]
    ),
    "RDS.23 another port than the default": each(DATABASE, lambda i: i["port"] != 5432),
    "RDS.25 another admin name than the default": each(DATABASE, lambda i: i["username"] not in ("postgres", "admin")),
    "RDS.36 logs in CloudWatch": each(DATABASE, lambda i: {"postgresql"} <= set(i["enabledCloudwatchLogsExports"])),
    "CKV_AWS_353 performance insights": each(DATABASE, lambda i: i["performanceInsightsEnabled"]),
    "ElastiCache.1 backups": each_protected(BROKER, lambda i: i["snapshotRetentionLimit"] >= 1),
    "ElastiCache.2 minor upgrades": each(BROKER, lambda i: i["autoMinorVersionUpgrade"]),
    "ElastiCache.3 failover": each_protected(BROKER, lambda i: i["automaticFailoverEnabled"] and i["multiAzEnabled"]),
    "ElastiCache.4 encrypted at rest": each(BROKER, lambda i: i["atRestEncryptionEnabled"]),
    "ElastiCache.5 encrypted in transit": each(BROKER, lambda i: i["transitEncryptionEnabled"]),
    "ElastiCache.6 token": each(BROKER, lambda i: i["authToken"]),
    "ElastiCache.7 own subnet group": each(BROKER, lambda i: i["subnetGroupName"] != "default"),
    "EC2.2 default security group is empty": each(
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", lambda i: not i.get("ingress") and not i.get("egress")
    ),
    "EC2.3 volumes encrypted": each(
        TEMPLATE, lambda i: all(m["ebs"]["encrypted"] == "true" for m in i["blockDeviceMappings"])
    ),
    "EC2.6 flow logs": own_vpc_without_flow_log,
    "EC2.10 interface endpoint for EC2": lambda recording, _: [
        vpc.name
        for vpc in recording.of_type(VPC)
        if not [
            e for e in recording.of_type("aws:ec2/vpcEndpoint:VpcEndpoint") if e.inputs["serviceName"].endswith(".ec2")
        ]
    ],
    "EC2.15 subnets give no public addresses": each(
        "aws:ec2/subnet:Subnet", lambda i: i["mapPublicIpOnLaunch"] is False
    ),
    "EC2.19 only HTTPS open to the world": open_to_the_world_except_https,
    "EC2.25 nodes without public addresses": each(
        TEMPLATE, lambda i: all(interface["associatePublicIpAddress"] == "false" for interface in interfaces(i))
    ),
    "EC2.170 IMDSv2": each(TEMPLATE, lambda i: i["metadataOptions"]["httpTokens"] == "required"),
    "CKV_AWS_341 hop limit": each(TEMPLATE, lambda i: i["metadataOptions"]["httpPutResponseHopLimit"] == 1),
    "CKV_AWS_382 no egress to anywhere": each(EGRESS, lambda i: i.get("cidrIpv4") != "0.0.0.0/0"),
    "AutoScaling.1 ELB health": behind_a_load_balancer_without_its_health_check,
    "AutoScaling.2 several zones": each(
        # The monitor is where its volume is: docs/adr/0038.
        GROUP,
        lambda i: len(i["vpcZoneIdentifiers"]) > 1 or i["name"].endswith("-monitor"),
    ),
    "AutoScaling.6 several types": each(GROUP, lambda i: len(instance_types(i)) > 1),
    "AutoScaling.9 launch templates": each(GROUP, lambda i: "launchConfiguration" not in i),
    "ELB.1 HTTP redirects to HTTPS": http_that_is_not_redirected,
    "ELB.4 malformed headers dropped": each(LOAD_BALANCER, lambda i: i["dropInvalidHeaderFields"]),
    "ELB.5 access logs": each(LOAD_BALANCER, lambda i: i["accessLogs"]["enabled"]),
    "ELB.6 deletion protection": each_protected(LOAD_BALANCER, lambda i: i["enableDeletionProtection"]),
    "ELB.12 desync mitigation": each(LOAD_BALANCER, lambda i: i["desyncMitigationMode"] in ("defensive", "strictest")),
    "ELB.13 several zones": each(LOAD_BALANCER, lambda i: len(i["subnets"]) > 1),
    "ELB.16 web application firewall": lambda recording, _: (
        [b.name for b in recording.of_type(LOAD_BALANCER)] if not recording.of_type("aws:wafv2/webAcl:WebAcl") else []
    ),
    "ELB.17 modern TLS policy": each(
        LISTENER, lambda i: i["protocol"] != "HTTPS" or i["sslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-Res")
    ),
    "ELB.18 listeners are encrypted": each(LISTENER, lambda i: i["protocol"] == "HTTPS"),
    "S3.1 public access blocked": each_bucket_has("PublicAccessBlock"),
    "S3.5 TLS only": each_bucket_has("Policy"),
    "S3.9 access to buckets is logged": each_bucket_has("Logging"),
    "S3.11 event notifications": each_bucket_has("Notification"),
    "S3.12 no ACLs": each_bucket_has("OwnershipControls"),
    "S3.13 lifecycle": each_bucket_has("LifecycleConfiguration"),
    "S3.14 versioned": each_bucket_has("Versioning"),
    "SecretsManager.1 rotation": lambda recording, _: (
        []
        if recording.of_type("aws:secretsmanager/secretRotation:SecretRotation")
        else [secret.name for secret in recording.of_type(SECRET)]
    ),
    "CKV_AWS_149 secrets under a key of ours": each(SECRET, lambda i: i.get("kmsKeyId")),
    "CKV_AWS_66 log groups end": each(LOG_GROUP, lambda i: i["retentionInDays"] > 0),
    "CKV_AWS_158 log groups under a key of ours": each(LOG_GROUP, lambda i: i.get("kmsKeyId")),
    "CKV_AWS_338 log groups keep a year": each(LOG_GROUP, lambda i: i["retentionInDays"] >= 365),
    "IAM.21 no whole service": allows_a_whole_service,
    "SNS.1 topics are encrypted": each("aws:sns/topic:Topic", lambda i: i["kmsMasterKeyId"]),
    "SNS.4 topics refuse strangers": strangers_may_publish,
    "KMS.4 keys are rotated": each("aws:kms/key:Key", lambda i: i["enableKeyRotation"]),
}

WAIVERS: Mapping[str, str] = {
    "RDS.10 IAM authentication": "its tokens live 15 minutes; Airflow opens connections at any time, from a fixed DSN",
    "RDS.20 events are announced": "set in the stack file (airflow:alerts)",
    "RDS.23 another port than the default": "a port hides nothing inside the VPC; security groups limit who connects",
    "ElastiCache.2 minor upgrades": "the next update would downgrade, hence replace, a broker that AWS upgraded",
    "EC2.10 interface endpoint for EC2": "set in the stack file (network.interfaceEndpoints): 8 USD per zone and month",
    "CKV_AWS_382 no egress to anywhere": "tasks call any systems that DAG authors use, which no list can name",
    "AutoScaling.6 several types": "masters are few and of one type; pools use all types that the stack file lists",
    "ELB.1 HTTP redirects to HTTPS": "no certificate can be issued without a domain: HTTP, inside the network only",
    "ELB.6 deletion protection": "a stack file may remove the public one; `pulumi up` would fail with protection",
    "ELB.16 web application firewall": "each public cluster's decision; a web ACL needs only the load balancer's ARN",
    "ELB.18 listeners are encrypted": "workers reach the execution API by a private name, which no CA signs",
    "S3.9 access to buckets is logged": "CloudTrail's data events contain more, and are configured per account",
    "S3.11 event notifications": "nothing in the cluster would receive them",
    "S3.14 versioned": "each access log has a unique name and is written once; all other buckets are versioned",
    "SecretsManager.1 rotation": "RDS rotates its admin's password; a new value of the others replaces nodes",
    "CKV_AWS_149 secrets under a key of ours": "an AWS managed key encrypts them; roles name each secret",
    "CKV_AWS_158 log groups under a key of ours": "encrypted by CloudWatch Logs; they hold no secret",
    "CKV_AWS_338 log groups keep a year": "a setting (retention.logGroupsDays), 90 days by default",
}


def controls(*, waived: bool) -> Iterator[str]:
    return (control for control in CONTROLS if (control in WAIVERS) is waived)


@pytest.mark.parametrize("control", controls(waived=False))
def test_passed(control: str):
    violations = {
        variant: found for variant in VARIANTS if (found := CONTROLS[control](recorded(variant), settings_of(variant)))
    }
    assert not violations, f"{control}: meet it, or waive it with a reason"


@pytest.mark.parametrize("control", controls(waived=True))
def test_waived(control: str):
    violations = [name for variant in VARIANTS for name in CONTROLS[control](recorded(variant), settings_of(variant))]
    assert violations, f"{control} is met now: remove it from WAIVERS"


def test_every_waiver_is_for_a_control():
    assert WAIVERS.keys() <= CONTROLS.keys()


def test_a_waiver_for_one_kind_of_resource_does_not_cover_another():
    unversioned = CONTROLS["S3.14 versioned"](recorded("prod"), settings_of("prod"))
    assert unversioned == ["buckets-access-logs"]
    one_type = CONTROLS["AutoScaling.6 several types"](recorded("prod"), settings_of("prod"))
    assert one_type == ["masters-group"]
    clear = CONTROLS["ELB.18 listeners are encrypted"](recorded("public"), settings_of("public"))
    assert clear == ["web-internal-http"]
    assert not CONTROLS["ELB.1 HTTP redirects to HTTPS"](recorded("domain"), settings_of("domain"))
    deletable = CONTROLS["ELB.6 deletion protection"](recorded("public"), settings_of("public"))
    assert deletable == ["web-public"]
    out = CONTROLS["CKV_AWS_382 no egress to anywhere"](recorded("prod"), settings_of("prod"))
    assert set(out) == {"access-masters-to-anywhere", "access-workers-to-anywhere"}
