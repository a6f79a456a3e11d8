"""The ways in while `pulumi up` changes them: at every step tasks reach the execution API, and people their pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from offline.recording import Recording, Resource
from tests.stack_queries import ATTACHMENT, LISTENER, LOAD_BALANCER, deletion_rounds, everything_before
from tests.stack_variants import recorded
from tests.support.listener_rules import action_for

RECORD = "aws:route53/record:Record"
DOMAIN = "airflow.example.com"

Stack = Sequence[Resource]

CHANGES = {
    "a domain comes": ("prod", "domain"),
    "a domain goes": ("domain", "prod"),
    "public access comes": ("domain", "public"),
    "public access goes": ("public", "domain"),
    "both come": ("prod", "public"),
    "both go": ("public", "prod"),
}


def steps(before: Recording, after: Recording) -> Iterator[tuple[str, Stack]]:
    """The stack as it may be while an update is under way, with the step that led there.

    Pulumi keeps to dependencies and to rounds of deletions, and to nothing else: so every new or changed resource is
    shown with only those that it waits for, and every deletion without the others of its round.
    """
    old, new = ({resource.urn: resource for resource in recording.resources} for recording in (before, after))
    for resource in after.resources:
        early = {each.urn: each for each in (*everything_before(after, resource), resource)}
        yield f"{resource.name} is there", list((old | early).values())
    left = old | new
    for deleted in deletion_rounds(before, old.keys() - new.keys()):
        for resource in deleted:
            yield f"{resource.name} is gone", [each for each in left.values() if each is not resource]
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


def by_domain(stack: Stack) -> Resource | None:
    """The listener that a browser meets under the domain."""
    [leads_to] = [r.inputs["aliases"][0]["name"] for r in stack if r.type == RECORD and r.inputs["name"] == DOMAIN]
    balancers = [r for r in stack if r.type == LOAD_BALANCER and r.outputs["dnsName"] == leads_to]
    return listener(stack, balancers[0], 443) if balancers else None


def has_domain(stack: Stack) -> bool:
    return any(each.type == RECORD and each.inputs["name"] == DOMAIN for each in stack)


def reaches_masters(stack: Stack, met: Resource | None, path: str) -> bool:
    """Whether a request is answered by a master, where a browser would follow redirects."""
    if met is None:
        return False
    action = action_for(stack, met, path)
    if action["type"] == "redirect":
        assert action["redirect"]["host"] == DOMAIN
        return has_domain(stack) and reaches_masters(stack, by_domain(stack), path)
    attached = {each.inputs["lbTargetGroupArn"] for each in stack if each.type == ATTACHMENT}
    return action["type"] == "forward" and action["targetGroupArn"] in attached


def port_8080(stack: Stack) -> Resource:
    [internal] = [each for each in stack if each.type == LOAD_BALANCER and each.inputs["internal"]]
    found = listener(stack, internal, 8080)
    assert found
    return found


every_change = pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)


@every_change
def test_tasks_reach_the_execution_api_at_every_step(before: str, after: str):
    """A task takes a redirect for a failure, and does not ask again."""
    for step, stack in steps(recorded(before), recorded(after)):
        met = port_8080(stack)
        assert action_for(stack, met, "/execution/task-instances/1/run")["type"] == "forward", step
        assert reaches_masters(stack, met, "/execution/task-instances/1/run"), step


@every_change
def test_people_reach_the_web_interface_by_port_8080_at_every_step(before: str, after: str):
    for step, stack in steps(recorded(before), recorded(after)):
        assert reaches_masters(stack, port_8080(stack), "/"), step


@every_change
def test_people_reach_the_web_interface_by_the_domain_whenever_it_has_a_record(before: str, after: str):
    for step, stack in steps(recorded(before), recorded(after)):
        assert not has_domain(stack) or reaches_masters(stack, by_domain(stack), "/"), step
