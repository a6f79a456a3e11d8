"""The load balancers' place: the program's listeners, rules and health checks as HAProxy's configuration.

The same HAProxy is AWS's TLS front: every name under amazonaws.com ends there.
"""

from __future__ import annotations

import math
import re
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from engine.recording import Recording, Resource
from lab.addresses import AddressPlan
from lab.aws.moto_server import ADDRESS as MOTO_ADDRESS
from lab.aws.moto_server import PORT as MOTO_PORT
from lab.aws.moto_server import TLS_VERSION_HEADER

LISTENER = "aws:lb/listener:Listener"
LISTENER_RULE = "aws:lb/listenerRule:ListenerRule"
TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
CERTIFICATE = "aws:acm/certificate:Certificate"
RECORD = "aws:route53/record:Record"

HOME = "/etc/lab-haproxy"
CONTROL = "/run/lab-haproxy.sock"
PLACES = 12
"""Targets that a target group has room for."""
SECONDS_BETWEEN_CHECKS = 2
"""Asked more often than AWS would, so that a healthy node is found sooner; an unhealthy verdict takes as long."""
IN_MAINTENANCE, RUNNING = 1, 2
"""HAProxy's numbers for a place that is out of use, and for one that passes its checks."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One place in a target group."""

    group: str
    place: int
    address: IPv4Address | None
    healthy: bool


def configuration(recording: Recording, plan: AddressPlan) -> str:
    """The whole configuration file."""
    lines = [
        *("global", f"  stats socket {CONTROL} level admin", "  log stdout format raw daemon", "  maxconn 4000"),
        *("defaults", "  mode http", "  log global", "  option httplog", "  timeout connect 5s"),
        *("  timeout client 60s", "  timeout server 60s"),
        *_aws_front(plan),
    ]
    for number, listener in enumerate(recording.of_type(LISTENER)):
        lines += _listener(recording, listener, number, plan)
    for group in recording.of_type(TARGET_GROUP):
        lines += _target_group(recording, group, plan)
    return "\n".join(lines) + "\n"


def names(recording: Recording, plan: AddressPlan) -> dict[str, IPv4Address]:
    """The DNS names that lead to load balancers: their own, and the program's aliases of them."""
    own = {
        balancer.outputs["dnsName"]: plan.load_balancers[balancer.outputs["arn"]]
        for balancer in recording.of_type(LOAD_BALANCER)
    }
    aliases = {
        record.outputs["fqdn"]: own[alias["name"]]
        for record in recording.of_type(RECORD)
        for alias in record.inputs.get("aliases", [])
        if alias["name"] in own
    }
    return own | aliases


def domains(recording: Recording) -> list[str]:
    """The names that HTTPS listeners need a certificate for."""
    return [certificate.inputs["domainName"] for certificate in recording.of_type(CERTIFICATE)]


def aws_names(region: str) -> list[str]:
    """The names in the certificate of AWS's front; a `*` stands for one label."""
    zones = ("amazonaws.com", f"{region}.amazonaws.com", f"s3.{region}.amazonaws.com", "s3.amazonaws.com")
    return [f"*.{zone}" for zone in zones]


def _aws_front(plan: AddressPlan) -> list[str]:
    return [
        "frontend aws",
        f"  bind {plan.aws}:443 ssl crt {HOME}/aws.pem",
        f"  bind {plan.aws}:80",  # S3 answers there too, and the bucket policies have to refuse it
        "  http-request deny if { path_beg /moto-api }",  # moto's own switches are not part of AWS
        "  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]",
        f"  http-request set-header {TLS_VERSION_HEADER} %[ssl_fc_protocol]",
        "  default_backend moto",
        "backend moto",
        f"  server moto {MOTO_ADDRESS}:{MOTO_PORT}",
    ]


def _listener(recording: Recording, listener: Resource, number: int, plan: AddressPlan) -> Iterator[str]:
    given = listener.inputs
    secure = given["protocol"] == "HTTPS"
    address = plan.load_balancers[given["loadBalancerArn"]]
    yield f"frontend listener{number}"
    yield f"  bind {address}:{given['port']}" + (f" ssl crt {HOME}/domain.pem alpn h2,http/1.1" if secure else "")
    # What an application load balancer tells its targets about the client.
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

    HAProxy sends its own answers before it chooses a backend, so such an answer has to exclude the paths that earlier
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
    # Quoted, or HAProxy takes the backslashes for its own.
    return f"{{ path -m reg {' '.join(map(shlex.quote, regular))} }}"


def _regular(pattern: str) -> str:
    return "^" + re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".") + "$"


def _target_group(recording: Recording, group: Resource, plan: AddressPlan) -> Iterator[str]:
    check = group.inputs["healthCheck"]
    until_unhealthy = check["unhealthyThreshold"] * check["interval"]
    name = _name_of(recording, group.outputs["arn"])
    yield f"backend {name}"
    yield "  balance roundrobin"
    yield f"  source {_address_of(recording, group, plan)}"
    yield "  option httpchk"
    headers = f"hdr Host {name} hdr User-Agent ELB-HealthChecker/2.0"
    yield f"  http-check send meth GET uri {check['path']} ver HTTP/1.1 {headers}"
    yield f"  http-check expect status {check['matcher']}"
    yield (
        f"  default-server check inter {SECONDS_BETWEEN_CHECKS}s rise {check['healthyThreshold']} "
        f"fall {math.ceil(until_unhealthy / SECONDS_BETWEEN_CHECKS)}"
    )
    yield f"  server-template place 1-{PLACES} 0.0.0.0:{group.inputs['port']} disabled"


def _address_of(recording: Recording, group: Resource, plan: AddressPlan) -> IPv4Address:
    """The address from which the load balancer of a target group speaks to its targets."""
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


class Targets:
    """The places of the running HAProxy's target groups, changed through its control socket."""

    def __init__(self, control: Path) -> None:
        self._control = control

    def listing(self) -> list[Target]:
        """Every place of every target group."""
        return parse_state(self._ask("show servers state"))

    def set_members(self, addresses: Sequence[IPv4Address]) -> None:
        """Let every target group consist of these; newcomers are unhealthy until their checks pass."""
        for target in self.listing():
            if target.address is not None and target.address not in addresses:
                self._ask(f"set server {target.group}/place{target.place} state maint")
        listing = self.listing()
        for group in sorted({target.group for target in listing}):
            places = [target for target in listing if target.group == group]
            free = [target.place for target in places if target.address is None]
            known = {target.address for target in places}
            for address in addresses:
                if address not in known:
                    self._occupy(f"{group}/place{free.pop(0)}", address)

    def _occupy(self, server: str, address: IPv4Address) -> None:
        self._ask(f"set server {server} addr {address}")
        self._ask(f"set server {server} state ready")
        self._ask(f"set server {server} health down")

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            connection.connect(str(self._control))
            connection.sendall(command.encode() + b"\n")
            answer = bytearray()
            while chunk := connection.recv(65536):
                answer += chunk
        return answer.decode()


def parse_state(shown: str) -> list[Target]:
    """The answer to `show servers state`: https://docs.haproxy.org/3.0/management.html#9.3-show%20servers%20state"""
    rows = [line.split() for line in shown.splitlines()[2:]]
    return [_target(row) for row in rows if len(row) > 3 and row[3].startswith("place")]


def _target(row: Sequence[str]) -> Target:
    _, group, _, place, address, operation, administration, *_ = row
    in_use = not int(administration) & IN_MAINTENANCE
    return Target(
        group=group,
        place=int(place.removeprefix("place")),
        address=IPv4Address(address) if in_use else None,
        healthy=in_use and int(operation) == RUNNING,
    )
