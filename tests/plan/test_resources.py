from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_random as random
import pytest

from engine.program import deploy, run_program
from plan.resources import Names, highlights, short_type


def line(program: Callable[[], Any], type_: str | None = None) -> str:
    recording = deploy(program)[1]
    resource = recording.only(type_) if type_ else recording.resources[-1]
    return highlights(resource, Names(recording))


def test_properties_are_shown_by_their_last_name():
    shown = line(lambda: aws.ec2.LaunchTemplate("t", image_id="ami-1", metadata_options={"http_tokens": "required"}))
    assert shown == "imageId=ami-1  httpTokens=required"


def test_items_of_a_list_are_shown_together():
    def bucket() -> None:
        aws.s3.BucketLifecycleConfiguration(
            "l", bucket="b", rules=[{"id": name, "status": "Enabled"} for name in ("one", "two")]
        )

    assert line(bucket) == "id=one,two"


def test_a_reference_is_shown_by_name():
    def program() -> None:
        aws.ec2.NatGateway("nat", subnet_id=aws.ec2.Subnet("public", vpc_id="v").id)

    assert line(program) == "subnetId=<public>"


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        (
            lambda **ends: aws.vpc.SecurityGroupIngressRule("r", ip_protocol="tcp", from_port=80, to_port=80, **ends),
            "<friends> -> <own>  tcp 80",
        ),
        (
            lambda **ends: aws.vpc.SecurityGroupEgressRule("r", ip_protocol="udp", from_port=1, to_port=9, **ends),
            "<own> -> <friends>  udp 1-9",
        ),
        (
            lambda **ends: aws.vpc.SecurityGroupEgressRule("r", ip_protocol="-1", **ends),
            "<own> -> <friends>  any protocol",
        ),
    ],
)
def test_a_rule_reads_in_the_direction_of_its_connections(rule: Callable[..., Any], shown: str):
    def program() -> None:
        own, friends = aws.ec2.SecurityGroup("own"), aws.ec2.SecurityGroup("friends")
        rule(security_group_id=own.id, referenced_security_group_id=friends.id)

    assert line(program) == shown


def test_a_rule_for_a_network_shows_the_network():
    shown = line(
        lambda: aws.vpc.SecurityGroupIngressRule(
            "r", security_group_id="sg", ip_protocol="icmp", cidr_ipv4="10.0.0.0/8"
        )
    )
    assert shown == "10.0.0.0/8 -> sg  icmp all ports"


def test_a_policy_is_shown_by_its_actions():
    document = {
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"]},
            {"Effect": "Deny", "Action": "s3:*"},
            {"Effect": "Allow", "Action": "s3:GetObject"},
        ]
    }
    shown = line(lambda: aws.iam.RolePolicy("p", role="r", policy=json.dumps(document)))
    assert shown == "policy=allow(s3:GetObject,s3:ListBucket) deny(s3:*)"


def test_user_data_is_shown_by_its_size():
    assert line(lambda: aws.ec2.LaunchTemplate("t", user_data="aGVsbG8=")) == "userData=5 bytes"


def test_a_secret_property_is_not_shown():
    assert (
        line(lambda: aws.s3.Bucket("b", bucket=pulumi.Output.secret("hidden"), force_destroy=True))
        == "forceDestroy=true"
    )


def test_protection_and_retention_are_marked():
    kept = pulumi.ResourceOptions(protect=True, retain_on_delete=True)
    assert line(lambda: random.RandomPassword("p", length=9, opts=kept)) == "length=9  [protected]  [retained]"


@pytest.mark.parametrize(
    ("type_", "short"),
    [
        ("aws:ec2/vpc:Vpc", "aws.ec2.Vpc"),
        ("random:index/randomPassword:RandomPassword", "random.RandomPassword"),
        ("airflow:network:Network", "Network"),
    ],
)
def test_types_are_written_as_in_the_program(type_: str, short: str):
    assert short_type(type_) == short


@pytest.mark.parametrize("stack", ["prod", "dev"])
def test_every_type_with_properties_of_interest_has_highlights(stack: str):
    # These have only a name and references, or settings that nobody chooses.
    plain = {
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/eip:Eip",
        "aws:ec2/internetGateway:InternetGateway",
        "aws:ec2/routeTable:RouteTable",
        "aws:elasticache/subnetGroup:SubnetGroup",
        "aws:rds/subnetGroup:SubnetGroup",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:secretsmanager/secretVersion:SecretVersion",
    }
    recording = run_program(stack)
    bare = {
        resource.type
        for resource in recording.resources
        if resource.options.custom and resource.type not in plain and not highlights(resource, Names(recording))
    }
    assert not bare, "give their entries in engine/resource_types the highlights that a reviewer needs"
