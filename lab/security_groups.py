"""The program's security groups as the router's packet filter, which drops everything that no rule allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address

from engine.recording import Recording, Resource
from lab.addresses import AddressPlan
from lab.aws.account import GROUP as AUTOSCALING_GROUP
from lab.aws.account import launch_template
from lab.namespace import Namespace
from lab.network import HOST_END, METADATA_ADDRESS
from lab.servers.server import Endpoint

GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
TABLE = "security_groups"
MEMBERS = "members"
"""The set of all addresses that have a security group. The others, such as AWS's public endpoints, have no rules."""


def ruleset(recording: Recording, plan: AddressPlan) -> str:
    """The nftables rules of every recorded group.

    A new connection needs a rule of its source's groups and one of its target's.
    """
    groups = [_set_name(group.id) for group in recording.of_type(GROUP)]
    # AWS lets every instance do this, whatever its groups allow.
    always = f"ip daddr {{ {plan.resolver}, {METADATA_ADDRESS} }} return"
    host = f"ip saddr {HOST_END} return"  # the operator and the tests on this machine
    return "\n".join(
        [
            f"table inet {TABLE} {{",
            *(f"  set {name} {{ type ipv4_addr; }}" for name in [MEMBERS, *groups]),
            *(
                "  chain out {",
                f"    {always}",
                *_rules(recording, EGRESS, "saddr", "daddr"),
                "    counter drop",
                "  }",
            ),
            *("  chain in {", f"    {host}", *_rules(recording, INGRESS, "daddr", "saddr"), "    counter drop", "  }"),
            "  chain decide {",
            "    ct state established,related accept",
            "    udp dport { 67, 68 } accept",  # security groups do not filter DHCP
            f"    ip saddr @{MEMBERS} jump out",
            f"    ip daddr @{MEMBERS} jump in",
            "  }",
            *(
                f"  chain {hook} {{ type filter hook {hook} priority filter; jump decide; }}"
                for hook in ("forward", "input", "output")
            ),
            "}",
        ]
    )


def groups_of_nodes(recording: Recording) -> dict[str, list[str]]:
    """The ids of the security groups of each autoscaling group's nodes, by the autoscaling group's name."""
    found = {}
    for group in recording.of_type(AUTOSCALING_GROUP):
        interfaces = launch_template(recording, group).inputs["networkInterfaces"]
        found[group.outputs["name"]] = [name for interface in interfaces for name in interface["securityGroups"]]
    return found


class PacketFilter:
    """The packet filter of the running lab."""

    def __init__(
        self, namespace: Namespace, recording: Recording, plan: AddressPlan, servers: Iterable[Endpoint]
    ) -> None:
        self._namespace = namespace
        self._servers: dict[str, list[IPv4Address]] = {}
        for endpoint in servers:
            for group in endpoint.security_groups:
                self._servers.setdefault(group, []).append(endpoint.address)
        self._groups = [group.id for group in recording.of_type(GROUP)]
        namespace.run("nft", "-f", "-", text=ruleset(recording, plan))
        self.set_nodes({})

    def set_nodes(self, nodes: Mapping[str, Sequence[IPv4Address]]) -> None:
        """Let each security group consist of its servers and of these nodes, given by the group's id."""
        lines = []
        everything: set[IPv4Address] = set()
        for group in self._groups:
            members = {*self._servers.get(group, ()), *nodes.get(group, ())}
            everything |= members
            lines += _refill(_set_name(group), members)
        self._namespace.run("nft", "-f", "-", text="\n".join([*lines, *_refill(MEMBERS, everything)]))


def _rules(recording: Recording, type_: str, own: str, other: str) -> Iterator[str]:
    for rule in recording.of_type(type_):
        yield f"    ip {own} @{_set_name(rule.inputs['securityGroupId'])} {_peer(rule, other)} {_ports(rule)}return"


def _peer(rule: Resource, other: str) -> str:
    if "referencedSecurityGroupId" in rule.inputs:
        return f"ip {other} @{_set_name(rule.inputs['referencedSecurityGroupId'])}"
    return f"ip {other} {rule.inputs['cidrIpv4']}"


def _ports(rule: Resource) -> str:
    protocol = rule.inputs["ipProtocol"]
    return "" if protocol == "-1" else f"{protocol} dport {rule.inputs['fromPort']}-{rule.inputs['toPort']} "


def _refill(name: str, members: set[IPv4Address]) -> Iterator[str]:
    yield f"flush set inet {TABLE} {name}"
    if members:
        yield f"add element inet {TABLE} {name} {{ {', '.join(map(str, sorted(members)))} }}"


def _set_name(group_id: str) -> str:
    return group_id.replace("-", "_")
