"""The program's load balancers as HAProxy's configuration: listeners, rules, target groups and health checks."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

from engine.recording import Recording, Resource
from lab.addresses import AddressPlan

LISTENER = "aws:lb/listener:Listener"
LISTENER_RULE = "aws:lb/listenerRule:ListenerRule"
TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
ATTACHMENT = "aws:autoscaling/attachment:Attachment"

PLACE, FALLBACK = "place", "fallback"
"""Start the two names of each place of a target group, the checked and the unchecked one; the number follows."""
PLACES = 12
"""Targets that a target group has room for."""
SECONDS_BETWEEN_CHECKS = 2
"""More often than AWS would, so that a healthy node is found sooner; a target becomes unhealthy as late as on AWS."""


def sections(recording: Recording, plan: AddressPlan, *, certificate: str) -> Iterator[str]:
    """The lines of all listeners and target groups; `certificate` is the file for HTTPS listeners."""
    for number, listener in enumerate(recording.of_type(LISTENER)):
        yield from _listener(recording, listener, number, plan, certificate)
    for group in recording.of_type(TARGET_GROUP):
        yield from _target_group(recording, group, plan)


def target_groups(recording: Recording) -> dict[str, list[str]]:
    """HAProxy's names of the target groups to which each autoscaling group is attached, by the latter's name."""
    found: dict[str, list[str]] = {}
    for attachment in recording.of_type(ATTACHMENT):
        name = _name_of(recording, attachment.inputs["lbTargetGroupArn"])
        found.setdefault(attachment.inputs["autoscalingGroupName"], []).append(name)
    return found


def _listener(
    recording: Recording, listener: Resource, number: int, plan: AddressPlan, certificate: str
) -> Iterator[str]:
    given = listener.inputs
    secure = given["protocol"] == "HTTPS"
    address = plan.load_balancers[given["loadBalancerArn"]]
    yield f"frontend listener{number}"
    yield f"  bind {address}:{given['port']}" + (f" ssl crt {certificate} alpn h2,http/1.1" if secure else "")
    # The headers with which an Application Load Balancer names the client to its targets.
    yield "  http-request set-var(txn.before) req.fhdr(x-forwarded-for)"
    yield "  http-request set-header X-Forwarded-For %[src]"
    yield "  http-request set-header X-Forwarded-For %[var(txn.before)],\\ %[src] if { var(txn.before) -m found }"
    yield f"  http-request set-header X-Forwarded-Proto {'https' if secure else 'http'}"
    yield f"  http-request set-header X-Forwarded-Port {given['port']}"
    rules = [rule for rule in recording.of_type(LISTENER_RULE) if rule.inputs["listenerArn"] == listener.outputs["arn"]]
    forwarded: list[str] = []
    for rule in sorted(rules, key=lambda rule: rule.inputs["priority"]):
        [action], paths = rule.inputs["actions"], _paths(rule.inputs["conditions"])
        yield from _action(recording, action, [paths], forwarded)
        if action["type"] == "forward":
            forwarded.append(paths)
    yield from _action(recording, given["defaultActions"][0], [], forwarded)


def _action(
    recording: Recording, action: Mapping[str, Any], paths: Sequence[str], forwarded: Sequence[str]
) -> Iterator[str]:
    """The directives for requests to these paths, or to any path.

    HAProxy sends its own responses before it chooses a backend, so such a response must exclude the paths that earlier
    rules forward.
    """
    terms = paths if action["type"] == "forward" else [*paths, *(f"!{condition}" for condition in forwarded)]
    condition = f" if {' '.join(terms)}" if terms else ""
    if action["type"] == "forward":
        backend = _name_of(recording, action["targetGroupArn"])
        yield f"  use_backend {backend}{condition}" if condition else f"  default_backend {backend}"
    elif action["type"] == "redirect":
        to = action["redirect"]
        target = f"{to['protocol'].lower()}://{to['host']}%[capture.req.uri]"
        code = to["statusCode"].removeprefix("HTTP_")
        yield f"  http-request redirect location {target} code {code}{condition}"
    else:
        fixed = action["fixedResponse"]
        body = fixed.get("messageBody", "").replace('"', '\\"')
        answer = f'status {fixed["statusCode"]} content-type {fixed["contentType"]} string "{body}"'
        yield f"  http-request return {answer}{condition}"


def _paths(conditions: Sequence[Mapping[str, Any]]) -> str:
    """A rule's paths: regular expressions, or patterns in which `*` is any text and `?` one character."""
    regular = [
        expression
        for condition in conditions
        for expression in condition["pathPattern"].get("regexValues")
        or map(_regular, condition["pathPattern"]["values"])
    ]
    # Quoted, or HAProxy would interpret the backslashes itself.
    return f"{{ path -m reg {' '.join(map(shlex.quote, regular))} }}"


def _regular(pattern: str) -> str:
    return "^" + re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".") + "$"


def _target_group(recording: Recording, group: Resource, plan: AddressPlan) -> Iterator[str]:
    check = group.inputs["healthCheck"]
    until_unhealthy = check["unhealthyThreshold"] * check["interval"]
    name = _name_of(recording, group.outputs["arn"])
    yield f"backend {name}"
    yield "  balance roundrobin"
    # If all targets are unhealthy, all of them get requests, whatever their checks find:
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks
    yield "  option allbackups"
    yield f"  source {_address_of(recording, group, plan)}"
    yield "  option httpchk"
    headers = f"hdr Host {name} hdr User-Agent ELB-HealthChecker/2.0"
    yield f"  http-check send meth GET uri {check['path']} ver HTTP/1.1 {headers}"
    yield f"  http-check expect status {check['matcher']}"
    yield (
        f"  default-server check inter {SECONDS_BETWEEN_CHECKS}s rise {check['healthyThreshold']} "
        f"fall {math.ceil(until_unhealthy / SECONDS_BETWEEN_CHECKS)}"
    )
    places = f"1-{PLACES} 0.0.0.0:{group.inputs['port']} disabled"
    yield f"  server-template {PLACE} {places}"
    yield f"  server-template {FALLBACK} {places} no-check backup"


def _address_of(recording: Recording, group: Resource, plan: AddressPlan) -> IPv4Address:
    """The address from which the load balancer of a target group connects to its targets."""
    arn = group.outputs["arn"]
    for listener in recording.of_type(LISTENER):
        rules = [
            r.inputs["actions"]
            for r in recording.of_type(LISTENER_RULE)
            if r.inputs["listenerArn"] == listener.outputs["arn"]
        ]
        actions = [action for listed in [listener.inputs["defaultActions"], *rules] for action in listed]
        if any(action.get("targetGroupArn") == arn for action in actions):
            return plan.load_balancers[listener.inputs["loadBalancerArn"]]
    raise LookupError(f"no listener forwards to {arn}")


def _name_of(recording: Recording, arn: str) -> str:
    """HAProxy's name of a target group."""
    arns = [group.outputs["arn"] for group in recording.of_type(TARGET_GROUP)]
    return f"targets{arns.index(arn)}"
