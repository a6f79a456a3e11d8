"""An AWS that answers from recorded answers, each checked against botocore's model of the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

from preflight.needs import SUBNET, Needs

CALLER = "arn:aws:sts::111122223333:assumed-role/deployer/alice"
CALLER_ROLE = "arn:aws:iam::111122223333:role/teams/data/deployer"
IMAGE = "ami-0123456789abcdef0"
ARM_IMAGE = "ami-0aaaaaaaaaaaaaaaa"
ZONES = ("eu-west-1a", "eu-west-1b", "eu-west-1c")

# An answer, a function of the request that returns one, or the code of an error.
Recorded = Mapping[str, Any] | Callable[[Mapping[str, Any]], Any] | str


class RecordedAws:
    """Answers by `<service>.<Operation>`; what is not recorded fails the test."""

    def __init__(self, answers: Mapping[str, Recorded]) -> None:
        self.answers = dict(answers)
        self.asked: list[tuple[str, str]] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Answer every call of every client from now on."""
        monkeypatch.setattr(
            BaseClient, "_make_api_call", lambda client, operation, given: self._answer(client, operation, given)
        )

    def _answer(self, client: BaseClient, operation: str, given: Mapping[str, Any]) -> Any:
        service = client.meta.service_model.service_name
        model = client.meta.service_model.operation_model(operation)
        if model.input_shape:
            validate_parameters(given, model.input_shape)
        self.asked.append((service, operation))
        answer = self.answers[f"{service}.{operation}"]
        if callable(answer):
            answer = answer(given)
        if isinstance(answer, str):
            raise ClientError({"Error": {"Code": answer, "Message": "as recorded"}}, operation)
        if model.output_shape:
            validate_parameters(answer, model.output_shape)
        return answer


def allowed(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """IAM's answer to a simulation of a caller who may do everything."""
    return evaluated(given, {})


def evaluated(given: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """IAM's answer to a simulation: everything is allowed but what `others` describes by its action."""
    results = [
        {"EvalActionName": name, "EvalDecision": "allowed", **others.get(name, {})} for name in given["ActionNames"]
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


def role(name: str, *, arn: str = "", tags: Mapping[str, str] | None = None) -> Mapping[str, Any]:
    """IAM's description of a role."""
    return {
        "Role": {
            "Path": "/",
            "RoleName": name,
            "RoleId": "AROAEXAMPLEEXAMPLE00",
            "Arn": arn or f"arn:aws:iam::111122223333:role/{name}",
            "CreateDate": datetime(2026, 1, 1, tzinfo=UTC),
            "Tags": as_tags(tags or {}),
        }
    }


def as_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as AWS lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def image(**changes: Any) -> Mapping[str, Any]:
    """EC2's description of a Debian image."""
    described = {
        "ImageId": IMAGE,
        "Name": "debian-13-amd64-20251117-2299",
        "State": "available",
        "Architecture": "x86_64",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}}],
        "DeprecationTime": "2099-11-17T00:00:00.000Z",
    }
    return {"Images": [{**described, **changes}]}


def _images(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return image(Architecture="arm64" if given["Filters"][0]["Values"] == [ARM_IMAGE] else "x86_64")


def _latest_images(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"Parameters": [{"Name": name, "Value": ARM_IMAGE if "arm64" in name else IMAGE} for name in given["Names"]]}


def orderable(**changes: Any) -> Mapping[str, Any]:
    """RDS's offer of the planned class."""
    offer = {
        "Engine": "postgres",
        "StorageType": "gp3",
        "MultiAZCapable": True,
        "MinStorageSize": 20,
        "MaxStorageSize": 65_536,
        "AvailabilityZones": [{"Name": zone} for zone in ZONES],
    }
    return {"OrderableDBInstanceOptions": [{**offer, **changes}]}


def an_instance(type_: str, vcpus: int, *, tags: Mapping[str, str] | None = None, **more: Any) -> Mapping[str, Any]:
    """EC2's description of a running instance."""
    return {
        "InstanceType": type_,
        "CpuOptions": {"CoreCount": vcpus, "ThreadsPerCore": 1},
        "Tags": as_tags(tags or {}),
        **more,
    }


def _quota(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"Quota": {"ServiceCode": given["ServiceCode"], "QuotaCode": given["QuotaCode"], "Value": 1_000.0}}


def _key(given: Mapping[str, Any]) -> Any:
    key = {"KeyId": "k", "Arn": KEY, "KeyState": "Enabled", "KeyManager": "AWS"}
    return {"KeyMetadata": key} if given["KeyId"] == "alias/aws/ebs" else "NotFoundException"


def _role(given: Mapping[str, Any]) -> Any:
    name = given["RoleName"]
    if name == "deployer":
        return role(name, arn=CALLER_ROLE)
    return role(name) if name.startswith("AWSServiceRole") else "NoSuchEntity"


def _types(given: Mapping[str, Any]) -> Mapping[str, Any]:
    sizes = {"small": 2, "medium": 2, "large": 2, "xlarge": 4}
    return {
        "InstanceTypes": [
            {"InstanceType": name, "VCpuInfo": {"DefaultVCpus": sizes[name.partition(".")[2]]}}
            for name in given["InstanceTypes"]
        ]
    }


def _offerings(given: Mapping[str, Any]) -> Mapping[str, Any]:
    types = given["Filters"][0]["Values"]
    return {"InstanceTypeOfferings": [{"InstanceType": name, "Location": zone} for name in types for zone in ZONES]}


def _subnets(given: Mapping[str, Any]) -> Mapping[str, Any]:
    ids = given["Filters"][0]["Values"]
    return {
        "Subnets": [
            {"SubnetId": id_, "AvailabilityZone": ZONES[number % len(ZONES)]} for number, id_ in enumerate(sorted(ids))
        ]
    }


def _endpoint_services(given: Mapping[str, Any]) -> Mapping[str, Any]:
    names = given["Filters"][0]["Values"]
    return {"ServiceDetails": [{"ServiceName": name, "AvailabilityZones": list(ZONES)} for name in names]}


def empty_account(needs: Needs) -> dict[str, Recorded]:
    """The answers of an account that has nothing yet, and offers everything that the plan needs."""
    return {
        "sts.GetCallerIdentity": {"Account": needs.account_id, "Arn": CALLER, "UserId": "AROAEXAMPLE:alice"},
        "iam.SimulatePrincipalPolicy": allowed,
        "iam.GetRole": _role,
        "iam.GetInstanceProfile": "NoSuchEntity",
        "iam.GetAccountSummary": {
            "SummaryMap": {"Roles": 20, "RolesQuota": 1_000, "InstanceProfiles": 3, "InstanceProfilesQuota": 1_000}
        },
        "service-quotas.GetServiceQuota": _quota,
        "service-quotas.GetAWSDefaultServiceQuota": "NoSuchResourceException",
        "ec2.DescribeAvailabilityZones": {
            "AvailabilityZones": [
                {"ZoneName": zone, "State": "available", "OptInStatus": "opt-in-not-required"}
                for zone in sorted({*ZONES, *(str(each.inputs["availabilityZone"]) for each in needs.of_type(SUBNET))})
            ]
        },
        "ec2.DescribeSubnets": _subnets,
        "ec2.DescribeInstanceTypes": _types,
        "ec2.DescribeInstanceTypeOfferings": _offerings,
        "ec2.DescribeInstances": {"Reservations": []},
        "ec2.DescribeImages": _images,
        "ec2.GetEbsDefaultKmsKeyId": {"KmsKeyId": "alias/aws/ebs"},
        "ec2.DescribeLaunchTemplates": {"LaunchTemplates": []},
        "ec2.DescribeVpcs": {"Vpcs": []},
        "ec2.DescribeInternetGateways": {"InternetGateways": []},
        "ec2.DescribeAddresses": {"Addresses": []},
        "ec2.DescribeSecurityGroups": {"SecurityGroups": []},
        "ec2.DescribeNatGateways": {"NatGateways": []},
        "ec2.DescribeVpcEndpoints": {"VpcEndpoints": []},
        "ec2.DescribeVpcEndpointServices": _endpoint_services,
        "ssm.GetParameters": _latest_images,
        "kms.DescribeKey": _key,
        "kms.ListResourceTags": {"Tags": []},
        "sns.ListTopics": {"Topics": []},
        "sns.ListTagsForResource": {"Tags": []},
        "kms.ListGrants": {"Grants": []},
        "kms.GetKeyPolicy": {"Policy": "{}"},
        "rds.DescribeDBEngineVersions": {
            "DBEngineVersions": [
                {"Engine": "postgres", "EngineVersion": version, "DBParameterGroupFamily": "postgres17"}
                for version in ("17.9", "17.10")
            ]
        },
        "rds.DescribeOrderableDBInstanceOptions": orderable(),
        "rds.DescribeDBInstances": {"DBInstances": []},
        "elasticache.DescribeCacheEngineVersions": {
            "CacheEngineVersions": [
                {"Engine": "valkey", "EngineVersion": "8.2", "CacheParameterGroupFamily": "valkey8"},
            ]
        },
        "elasticache.DescribeReservedCacheNodesOfferings": {
            "ReservedCacheNodesOfferings": [{"ReservedCacheNodesOfferingId": "one"}]
        },
        "elasticache.DescribeCacheClusters": {"CacheClusters": []},
        "elasticache.DescribeReplicationGroups": {"ReplicationGroups": []},
        "elasticache.ListTagsForResource": {"TagList": []},
        "elbv2.DescribeLoadBalancers": {"LoadBalancers": []},
        "elbv2.DescribeTargetGroups": {"TargetGroups": []},
        "elbv2.DescribeTags": {"TagDescriptions": [{"ResourceArn": "arn:aws:elasticloadbalancing:x"}]},
        "route53.GetHostedZone": {
            "HostedZone": {
                "Id": "/hostedzone/Z1",
                "Name": "example.com.",
                "CallerReference": "x",
                "Config": {"PrivateZone": False},
            },
            "DelegationSet": {"NameServers": ["ns-1.awsdns-01.org"]},
        },
        "s3.ListBuckets": {"Buckets": []},
        "s3.HeadBucket": "404",
        "s3.GetBucketTagging": "NoSuchTagSet",
        "secretsmanager.ListSecrets": {"SecretList": []},
        "logs.DescribeLogGroups": {"logGroups": []},
        "logs.ListTagsForResource": {"tags": {}},
        "autoscaling.DescribeAutoScalingGroups": {"AutoScalingGroups": []},
    }


KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
