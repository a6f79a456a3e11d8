"""The table of resource types is complete and in use; ids, ARNs and endpoints have AWS's formats."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_random as random
import pytest

from engine.errors import NameTooLongError
from engine.monitor import input_names, output_names
from engine.program import EngineRefusalError, deploy
from engine.recording import Resource
from engine.resource_types import RESOURCE_TYPES, missing_types
from engine.resource_types.definition import ANY_INPUT
from tests.stack_variants import VARIANTS, recorded

ACCOUNT, REGION = "111122223333", "eu-west-1"
HEX17 = "0[0-9a-f]{16}"
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def only(make: Callable[[], object], **options: Any) -> Resource:
    [resource] = deploy(make, **options)[1].resources
    return resource


def used(variant: str) -> set[str]:
    return {resource.type for resource in recorded(variant).resources if resource.options.custom}


class TestTheTable:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_every_type_that_the_program_registers_has_an_entry(self, variant: str):
        assert missing_types(recorded(variant)) == []

    def test_a_type_without_an_entry_is_reported_with_what_to_do(self):
        recording = deploy(lambda: [aws.sqs.Queue("a"), aws.sqs.Queue("b"), aws.ec2.Vpc("c")])[1]
        assert missing_types(recording) == [
            "aws:sqs/queue:Queue has no entry in engine/resource_types, so a plan cannot tell which changes replace it "
            "or lose its data. Add an entry to the module of its service."
        ]

    def test_the_program_registers_every_type_in_the_table(self):
        assert RESOURCE_TYPES.keys() - set[str]().union(*map(used, VARIANTS)) == set()

    @pytest.mark.parametrize("token", sorted(RESOURCE_TYPES))
    def test_every_input_in_an_entry_exists(self, token: str):
        """A misspelt one would match nothing, without an error."""
        entry = RESOURCE_TYPES[token]
        rules = (*entry.safeguards, *entry.retention)
        paths = {
            *entry.identity,
            *entry.optional,
            *entry.replaced_by,
            *entry.replaced_if,
            *entry.sets,
            *entry.highlights,
        }
        paths |= {rule.input for rule in rules}
        assert {path.split(".", 1)[0] for path in paths - ANY_INPUT} <= input_names(token)

    @pytest.mark.parametrize("token", sorted(RESOURCE_TYPES))
    def test_the_output_that_an_update_renews_exists(self, token: str):
        assert {RESOURCE_TYPES[token].renewed_by_update} - {""} <= output_names(token)


@pytest.mark.parametrize(
    ("make", "id_", "arn"),
    [
        (lambda: aws.ec2.Vpc("a"), f"vpc-{HEX17}", f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/vpc-{HEX17}"),
        (
            lambda: aws.ec2.Subnet("a", vpc_id="v", availability_zone="eu-west-1b"),
            f"subnet-{HEX17}",
            f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/subnet-{HEX17}",
        ),
        (
            lambda: aws.ec2.SecurityGroup("a"),
            f"sg-{HEX17}",
            f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/sg-{HEX17}",
        ),
        (
            lambda: aws.vpc.SecurityGroupIngressRule("a", security_group_id="sg-1", ip_protocol="tcp"),
            f"sgr-{HEX17}",
            f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group-rule/sgr-{HEX17}",
        ),
        (
            lambda: aws.ec2.Eip("a"),
            f"eipalloc-{HEX17}",
            f"arn:aws:ec2:{REGION}:{ACCOUNT}:elastic-ip/eipalloc-{HEX17}",
        ),
        (lambda: aws.ec2.RouteTableAssociation("a", route_table_id="rtb-1"), f"rtbassoc-{HEX17}", None),
        (lambda: aws.ec2.Route("a", route_table_id="rtb-1"), r"r-rtb-1\d+", None),
        (
            lambda: aws.ec2.VpcEndpoint("a", vpc_id="v"),
            f"vpce-{HEX17}",
            f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc-endpoint/vpce-{HEX17}",
        ),
        (
            lambda: aws.ec2.LaunchTemplate("a"),
            f"lt-{HEX17}",
            f"arn:aws:ec2:{REGION}:{ACCOUNT}:launch-template/lt-{HEX17}",
        ),
        (
            lambda: aws.ebs.Volume("a", availability_zone="eu-west-1a"),
            f"vol-{HEX17}",
            f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/vol-{HEX17}",
        ),
        (
            lambda: aws.autoscaling.Group("a", name="workers", min_size=1, max_size=2),
            "workers",
            f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:{UUID}:autoScalingGroupName/workers",
        ),
        (
            lambda: aws.iam.Role("a", name="node", assume_role_policy="{}"),
            "node",
            f"arn:aws:iam::{ACCOUNT}:role/node",
        ),
        (
            lambda: aws.iam.InstanceProfile("a", name="node", path="/airflow/"),
            "node",
            f"arn:aws:iam::{ACCOUNT}:instance-profile/airflow/node",
        ),
        (lambda: aws.iam.RolePolicy("a", name="p", role="node", policy="{}"), "node:p", None),
        (lambda: aws.s3.Bucket("a", bucket="logs"), "logs", "arn:aws:s3:::logs"),
        (lambda: aws.s3.BucketPolicy("a", bucket="logs", policy="{}"), "logs", None),
        (lambda: aws.s3.BucketObjectv2("a", bucket="logs", key="k/1"), "logs/k/1", "arn:aws:s3:::logs/k/1"),
        (
            lambda: aws.secretsmanager.Secret("a", name="cluster/dsn"),
            f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:cluster/dsn-[A-Za-z0-9]{{6}}",
            f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:cluster/dsn-[A-Za-z0-9]{{6}}",
        ),
        (lambda: aws.secretsmanager.SecretVersion("a", secret_id="arn:x"), rf"arn:x\|{UUID}", "arn:x"),
        (
            lambda: aws.lb.LoadBalancer("a", name="web"),
            f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/web/[0-9a-f]{{16}}",
            f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/web/[0-9a-f]{{16}}",
        ),
        (
            lambda: aws.lb.TargetGroup("a", name="web"),
            f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/[0-9a-f]{{16}}",
            f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/[0-9a-f]{{16}}",
        ),
        (
            lambda: aws.lb.Listener("a", load_balancer_arn="arn:e:loadbalancer/app/web/1", default_actions=[]),
            "arn:e:listener/app/web/1/[0-9a-f]{16}",
            "arn:e:listener/app/web/1/[0-9a-f]{16}",
        ),
        (
            lambda: aws.lb.ListenerRule("a", listener_arn="arn:e:listener/app/web/1/2", actions=[], conditions=[]),
            "arn:e:listener-rule/app/web/1/2/[0-9a-f]{16}",
            "arn:e:listener-rule/app/web/1/2/[0-9a-f]{16}",
        ),
        (
            lambda: aws.acm.Certificate("a", domain_name="airflow.example.org"),
            f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/{UUID}",
            f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/{UUID}",
        ),
        (lambda: aws.route53.Zone("a", name="x.org"), "Z[A-Z0-9]{20}", "arn:aws:route53:::hostedzone/Z[A-Z0-9]{20}"),
        (lambda: aws.route53.Record("a", zone_id="Z1", name="x.org", type="A"), "Z1_x.org_A", None),
        (
            lambda: aws.cloudwatch.LogGroup("a", name="/flows"),
            "/flows",
            f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/flows",
        ),
        (
            lambda: aws.cloudwatch.MetricAlarm("a", name="late", comparison_operator="x", evaluation_periods=1),
            "late",
            f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:late",
        ),
        (
            lambda: aws.autoscaling.LifecycleHook(
                "a", name="ready", autoscaling_group_name="workers", lifecycle_transition="x"
            ),
            "ready",
            None,
        ),
        (
            lambda: aws.sns.Topic("a", name="alerts"),
            f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts",
            f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts",
        ),
        (
            lambda: aws.sns.TopicSubscription("a", topic="arn:t", protocol="email", endpoint="a@example.com"),
            f"arn:t:{UUID}",
            f"arn:t:{UUID}",
        ),
        (lambda: aws.kms.Key("a"), UUID, f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{UUID}"),
        (
            lambda: aws.kms.Alias("a", name="alias/alerts", target_key_id="k"),
            "alias/alerts",
            f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/alerts",
        ),
        (lambda: aws.sqs.Queue("a"), "a-id", None),
    ],
)
def test_ids_and_arns_have_the_format_of_aws(make: Callable[[], object], id_: str, arn: str | None):
    resource = only(make)
    assert re.fullmatch(id_, resource.id), resource.id
    if arn is None:
        assert "arn" not in resource.outputs
    else:
        assert re.fullmatch(arn, resource.outputs["arn"]), resource.outputs["arn"]


def test_a_database_has_an_endpoint_and_a_managed_secret():
    outputs = only(
        lambda: aws.rds.Instance(
            "a",
            identifier="airflow-prod-metadata",
            engine="postgres",
            instance_class="db.m7g.large",
            manage_master_user_password=True,
        )
    ).outputs
    assert outputs["address"] == "airflow-prod-metadata.c9xk2m4example.eu-west-1.rds.amazonaws.com"
    assert outputs["port"] == 5432
    assert outputs["endpoint"] == f"{outputs['address']}:5432"
    secret = outputs["masterUserSecrets"][0]["secretArn"]
    assert re.fullmatch(f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-{UUID}-[A-Za-z0-9]{{6}}", secret)


def test_a_database_with_a_password_of_its_own_has_no_managed_secret():
    made = only(lambda: aws.rds.Instance("a", engine="postgres", instance_class="db.m7g.large", password="x"))
    assert "masterUserSecrets" not in made.outputs


@pytest.mark.parametrize(
    ("region", "short"),
    [("eu-west-1", "euw1"), ("us-east-1", "use1"), ("ap-northeast-2", "apne2"), ("us-gov-west-1", "usgw1")],
)
def test_a_broker_has_endpoints_with_the_regions_short_name(region: str, short: str):
    outputs = only(
        lambda: aws.elasticache.ReplicationGroup(
            "a", description="b", replication_group_id="airflow-broker", num_cache_clusters=2
        ),
        config={"aws:region": region},
    ).outputs
    assert outputs["primaryEndpointAddress"] == f"master.airflow-broker.abc123.{short}.cache.amazonaws.com"
    assert outputs["memberClusters"] == ["airflow-broker-001", "airflow-broker-002"]
    assert outputs["port"] == 6379


def test_the_name_of_an_internal_load_balancer_starts_with_internal():
    names = [
        only(lambda internal=internal: aws.lb.LoadBalancer("a", name="web", internal=internal)).outputs["dnsName"]
        for internal in (True, False)
    ]
    assert re.fullmatch(r"internal-web-\d+\.eu-west-1\.elb\.amazonaws\.com", names[0])
    assert re.fullmatch(r"web-\d+\.eu-west-1\.elb\.amazonaws\.com", names[1])


def test_a_certificate_has_one_validation_record_per_name():
    options = only(
        lambda: aws.acm.Certificate("a", domain_name="x.org", subject_alternative_names=["x.org", "*.x.org"])
    ).outputs["domainValidationOptions"]
    assert [option["domainName"] for option in options] == ["x.org", "*.x.org"]
    assert all(option["resourceRecordName"].endswith(".x.org.") for option in options)


def test_a_generated_name_is_the_logical_name_and_seven_digits():
    bucket = only(lambda: aws.s3.Bucket("logs"))
    assert re.fullmatch("logs-[0-9a-f]{7}", bucket.id)
    assert bucket.outputs["bucket"] == bucket.id
    assert "bucket" not in bucket.inputs


def test_a_generated_name_starts_with_the_given_prefix():
    assert re.fullmatch("airflow-[0-9a-f]+", only(lambda: aws.s3.Bucket("logs", bucket_prefix="airflow-")).id)


def test_a_generated_name_that_is_too_long_is_refused_as_by_the_provider():
    with pytest.raises(NameTooLongError, match=r"38 characters, AWS allows 32. Shorten the logical name"):
        deploy(lambda: aws.lb.TargetGroup("a-name-that-takes-thirty-chars"))


def test_arns_contain_the_stacks_account_and_region():
    alarm = only(
        lambda: aws.cloudwatch.MetricAlarm("a", name="late", comparison_operator="x", evaluation_periods=1),
        config={"aws:region": "cn-north-1", "aws:allowedAccountIds": ["999988887777"]},
    )
    assert alarm.outputs["arn"] == "arn:aws-cn:cloudwatch:cn-north-1:999988887777:alarm:late"


def test_two_resources_never_share_an_id():
    recording = deploy(lambda: [aws.ec2.Vpc(name) for name in "abcdefgh"])[1]
    assert len({resource.id for resource in recording.resources}) == 8


def test_ids_and_passwords_are_the_same_in_every_run():
    def make() -> None:
        for name in ("one", "two"):
            aws.ec2.Vpc(name)
            random.RandomPassword(name, length=30)

    assert deploy(make)[1].resources == deploy(make)[1].resources


class TestRandom:
    def test_a_password_has_its_length_and_characters_of_every_class(self):
        result = only(lambda: random.RandomPassword("p", length=64)).outputs["result"]
        assert len(result) == 64
        for alphabet in (string.ascii_lowercase, string.ascii_uppercase, string.digits, "!@#$%&*()-_=+[]{}<>:?"):
            assert set(result) & set(alphabet)

    def test_a_password_contains_only_allowed_characters(self):
        result = only(lambda: random.RandomPassword("p", length=200, override_special="~^", upper=False)).outputs[
            "result"
        ]
        assert set(result) <= set(string.ascii_lowercase + string.digits + "~^")
        assert set(result) & set("~^")
        plain = only(lambda: random.RandomPassword("p", length=200, special=False)).outputs["result"]
        assert plain.isalnum()

    def test_a_password_has_at_least_the_required_characters_of_each_class(self):
        result = only(
            lambda: random.RandomPassword(
                "p", length=12, min_special=5, min_numeric=4, min_upper=2, override_special="~"
            )
        ).outputs["result"]
        assert len(result) == 12
        assert result.count("~") >= 5
        assert sum(character.isdigit() for character in result) >= 4
        assert sum(character.isupper() for character in result) >= 2

    def test_passwords_differ_by_name_and_are_secret(self):
        recording = deploy(lambda: [random.RandomPassword(name, length=20) for name in "ab"])[1]
        first, second = recording.resources
        assert first.outputs["result"] != second.outputs["result"]
        assert {"result", "bcryptHash"} <= first.secret_outputs

    def test_the_id_of_a_random_id_is_its_value(self):
        made = only(lambda: random.RandomId("r", byte_length=8))
        assert made.id == made.outputs["b64Url"]

    def test_the_id_of_a_password_is_not_the_password(self):
        assert only(lambda: random.RandomPassword("p", length=20)).id == "none"

    def test_a_random_id_is_given_in_hexadecimal_and_decimal(self):
        outputs = only(lambda: random.RandomId("i", byte_length=4, prefix="x-")).outputs
        assert outputs["hex"].startswith("x-")
        assert int(outputs["dec"].removeprefix("x-")) == int(outputs["hex"].removeprefix("x-"), 16)


def test_an_unknown_input_does_not_break_the_mock_outputs():
    def program() -> None:
        bucket = aws.s3.Bucket("a")
        aws.cloudwatch.LogGroup("late", name=pulumi.Output.concat("/logs/", bucket.arn))

    [_, group] = deploy(program, preview=True)[1].resources
    assert group.inputs["name"] == group.outputs["name"]


@pytest.mark.parametrize(("size", "taken"), [(10_240, True), (10_241, False)])
def test_an_inline_policy_larger_than_iams_limit_is_refused(size: int, taken: bool):
    """White space is not counted."""
    policy = json.dumps({"Statement": ["x"]}, indent=8)
    policy = policy.replace("x", "x" * (size - len("".join(policy.split())) + 1))
    with nullcontext() if taken else pytest.raises(EngineRefusalError, match="10,241 characters"):
        only(lambda: aws.iam.RolePolicy("a", role="r", policy=policy))
