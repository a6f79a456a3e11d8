"""Queries of the stack-wide tests on a recording."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from typing import Any
from urllib.parse import quote

from engine.recording import Recording, Resource

DATABASE = "aws:rds/instance:Instance"
BROKER = "aws:elasticache/replicationGroup:ReplicationGroup"
BUCKET = "aws:s3/bucket:Bucket"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP = "aws:autoscaling/group:Group"
ATTACHMENT = "aws:autoscaling/attachment:Attachment"
HOOK = "aws:autoscaling/lifecycleHook:LifecycleHook"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"


def each(recording: Recording, type_: str) -> list[Resource]:
    """Every resource of the type. An AssertionError if there is none: a rule without resources proves nothing."""
    found = recording.of_type(type_)
    assert found, f"no {type_} in this stack: the rule would pass without a check"
    return found


def of_bucket(recording: Recording, bucket: Resource, part: str) -> Resource:
    """The resource of a kind (`Policy`, `PublicAccessBlock`, ...) that belongs to the bucket."""
    [found] = [r for r in recording.of_type(f"aws:s3/bucket{part}:Bucket{part}") if r.inputs["bucket"] == bucket.id]
    return found


def has_part(recording: Recording, bucket: Resource, part: str) -> bool:
    """Whether a resource of the kind belongs to the bucket."""
    return any(r.inputs["bucket"] == bucket.id for r in recording.of_type(f"aws:s3/bucket{part}:Bucket{part}"))


def all_statements(recording: Recording) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """The statements of all policies, except for those of keys, which apply to their key alone."""
    policies = each(recording, "aws:iam/rolePolicy:RolePolicy") + each(recording, BUCKET_POLICY)
    for policy in [*policies, *recording.of_type("aws:sns/topicPolicy:TopicPolicy")]:
        for statement in statements(policy):
            yield policy, statement


def statements(policy: Resource) -> list[dict[str, Any]]:
    return json.loads(policy.inputs["policy"])["Statement"]


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def secret_values(recording: Recording) -> set[str]:
    """Every value that was secret anywhere in the run, drawn or derived, and its spelling in a URL and in JSON."""
    # A shorter value could be part of any word.
    values = [value for value in recording.secret_texts if len(value) >= 8]
    return {spelling for value in values for spelling in (value, quote(value, safe=""), json.dumps(value)[1:-1])}


def readable_state(resource: Resource) -> dict[str, str]:
    """The plain text that Pulumi's state has about a resource, by its place. An id is never encrypted."""
    inputs = {key: value for key, value in resource.inputs.items() if key not in resource.secret_inputs}
    outputs = {key: value for key, value in resource.outputs.items() if key not in resource.secret_outputs}
    return {
        "id": resource.id,
        "urn": resource.urn,
        "inputs": json.dumps(inputs, ensure_ascii=False),
        "outputs": json.dumps(outputs, ensure_ascii=False),
    }


def everything_before(recording: Recording, resource: Resource) -> list[Resource]:
    """All resources that have to exist before this one."""
    by_urn = {each.urn: each for each in recording.resources}
    reached: dict[str, Resource] = {}
    waiting = list(resource.dependencies)
    while waiting:
        urn = waiting.pop()
        if urn not in reached and urn in by_urn:
            reached[urn] = by_urn[urn]
            waiting += by_urn[urn].dependencies
    return list(reached.values())


def deletion_rounds(recording: Recording, gone: Container[str] | None = None) -> list[list[Resource]]:
    """The rounds in which Pulumi deletes resources (of these URNs, or all). Each begins when the one before has ended.

    As in the engine's schedule, a resource is deleted as late as its dependencies allow, not as soon as nothing depends
    on it.
    https://github.com/pulumi/pulumi/blob/master/pkg/resource/deploy/step_generator.go (ScheduleDeletes)
    """
    waiting = {r.urn: r for r in recording.resources if gone is None or r.urn in gone}
    rounds = []
    while waiting:
        free = [r for r in waiting.values() if not waiting.keys() & {r.parent, *r.dependencies}]
        rounds.append(free)
        for resource in free:
            del waiting[resource.urn]
    return rounds[::-1]
