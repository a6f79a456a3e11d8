"""Access during `pulumi up`: at every step, tasks reach the execution API and people reach the web interface.

Here, changed records and settings of masters apply at once. docs/changing-the-domain.md describes what people see until
resolvers and masters have the new ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import pytest

from engine.recording import Recording, Resource
from plan.changes import compare
from tests.stack_file import changed
from tests.stack_queries import ATTACHMENT, LISTENER, LOAD_BALANCER, deletion_rounds, everything_before
from tests.stack_variants import DOMAIN, program, recorded
from tests.support.listener_rules import action_for

CERTIFICATE = "aws:acm/certificate:Certificate"
RECORD = "aws:route53/record:Record"

Stack = Sequence[Resource]

CHANGES = {
    "a domain comes": ("prod", "domain"),
    "a domain goes": ("domain", "prod"),
    "public access is added": ("domain", "public"),
    "public access goes": ("public", "domain"),
    "both come": ("prod", "public"),
    "both go": ("public", "prod"),
    "the domain changes": ("domain", "another domain"),
}


@cache
def recording(variant: str) -> Recording:
    if variant == "another domain":
        return program(changed({**DOMAIN, "airflow:web.domain": "workflows.example.com"}))
    return recorded(variant)


def steps(before: Recording, after: Recording) -> Iterator[tuple[str, Stack]]:
    """The possible states of the stack during an update, each with the step that led to it.

    Pulumi's order is determined only by dependencies and rounds of deletions. So every new or changed resource is shown
    with only those that it waits for, and every deletion without the others of its round. Replaced resources stay until
    the deletions.
    """
    old, new = ({resource.urn: resource for resource in recording.resources} for recording in (before, after))
    replaced = {change.resource.urn: change.old for change in compare(before, after).items if change.kind == "replace"}
    for resource in after.resources:
        early = {each.urn: each for each in (*everything_before(after, resource), resource)}
        leaving = [each for urn, each in replaced.items() if urn in early and each is not None]
        yield f"{resource.name} is created", [*(old | early).values(), *leaving]
    left = old | new
    yield "replaced resources are deleted", list(left.values())
    for deleted in deletion_rounds(before, old.keys() - new.keys()):
        for resource in deleted:
            yield f"{resource.name} is deleted", [each for each in left.values() if each is not resource]
        for resource in deleted:
            del left[resource.urn]
        yield "a round is over", list(left.values())


def listener(stack: Stack, load_balancer: Resource, port: int) -> Resource | None:
    found = [
        each
        for each in stack
        if each.type == LISTENER and each.inputs["loadBalancerArn"] == load_balancer.outputs["arn"]
        if each.inputs["port"] == port
    ]
    return found[0] if found else None


def domain_of(recording: Recording) -> str | None:
    certificates = recording.of_type(CERTIFICATE)
    return certificates[0].inputs["domainName"] if certificates else None


def record_of(stack: Stack, domain: str) -> Resource | None:
    found = [each for each in stack if each.type == RECORD and each.inputs["name"] == domain]
    return found[0] if found else None


def by_domain(stack: Stack, domain: str) -> Resource | None:
    """The listener that a browser reaches under the domain; None if it would refuse the certificate."""
    record = record_of(stack, domain)
    leads_to = record.inputs["aliases"][0]["name"] if record else None
    balancers = [each for each in stack if each.type == LOAD_BALANCER and each.outputs["dnsName"] == leads_to]
    met = listener(stack, balancers[0], 443) if balancers else None
    certified = {
        each.outputs["arn"] for each in stack if each.type == CERTIFICATE and each.inputs["domainName"] == domain
    }
    return met if met and met.inputs["certificateArn"] in certified else None


def reaches_masters(stack: Stack, met: Resource | None, path: str) -> bool:
    """Whether a request reaches a master if redirects are followed as by a browser."""
    if met is None:
        return False
    action = action_for(stack, met, path)
    if action["type"] == "redirect":
        return reaches_masters(stack, by_domain(stack, action["redirect"]["host"]), path)
    attached = {each.inputs["lbTargetGroupArn"] for each in stack if each.type == ATTACHMENT}
    return action["type"] == "forward" and action["targetGroupArn"] in attached


def port_8080(stack: Stack) -> Resource:
    [internal] = [each for each in stack if each.type == LOAD_BALANCER and each.inputs["internal"]]
    found = listener(stack, internal, 8080)
    assert found
    return found


def each_of(changes: Mapping[str, tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("before", "after"), changes.values(), ids=changes)


@each_of(CHANGES)
def test_tasks_reach_the_execution_api_at_every_step(before: str, after: str):
    """A task treats a redirect as a failure and does not retry."""
    for step, stack in steps(recording(before), recording(after)):
        met = port_8080(stack)
        assert action_for(stack, met, "/execution/task-instances/1/run")["type"] == "forward", step
        assert reaches_masters(stack, met, "/execution/task-instances/1/run"), step


# A listener has one certificate: between the new one and the new redirect, browsers refuse the old domain.
@each_of({name: change for name, change in CHANGES.items() if name != "the domain changes"})
def test_people_reach_the_web_interface_by_port_8080_at_every_step(before: str, after: str):
    for step, stack in steps(recording(before), recording(after)):
        assert reaches_masters(stack, port_8080(stack), "/"), step


@each_of(CHANGES)
def test_people_reach_the_web_interface_by_the_domain_as_long_as_it_has_a_record(before: str, after: str):
    """The new domain, if one replaces another."""
    domain = domain_of(recording(after)) or domain_of(recording(before))
    assert domain
    for step, stack in steps(recording(before), recording(after)):
        assert not record_of(stack, domain) or reaches_masters(stack, by_domain(stack, domain), "/"), step
