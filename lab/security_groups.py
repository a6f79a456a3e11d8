"""The program's security groups as the router's packet filter: a row that is missing there is missing here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address

from engine.recording import Recording, Resource
from lab.addresses import BROKER, DATABASE, LOAD_BALANCER, AddressPlan
from lab.namespace import Namespace
from lab.network import HOST_END, METADATA_ADDRESS

GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
AUTOSCALING_GROUP = "aws:autoscaling/group:Group"
TABLE = "security_groups"
WEARERS = "wearers"
"""The set of all addresses that have a security group. The others, such as AWS's public endpoints, have no rules."""


def ruleset(recording: Recording, plan: AddressPlan) -> str:
    """The nftables rules of every recorded group.

    A new connection needs a rule of its source's groups and one of its target's.
    """
    groups = [_set_name(group.id) for group in recording.of_type(GROUP)]
    # What AWS lets every instance do, whatever its groups say.
    always = f"ip daddr {{ {plan.resolver}, {METADATA_ADDRESS} }} return"
    host = f"ip saddr {HOST_END} return"  # the person and the tests on this machine
    return "\n".join(
        [
            f"table inet {TABLE} {{",
            *(f"  set {name} {{ type ipv4_addr; }}" for name in [WEARERS, *groups]),
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
            "    udp dport { 67, 68 } accept",  # DHCP passes by security groups
            f"    ip saddr @{WEARERS} jump out",
            f"    ip daddr @{WEARERS} jump in",
            "  }",
            *(
                f"  chain {hook} {{ type filter hook {hook} priority filter; jump decide; }}"
                for hook in ("forward", "input", "output")
            ),
            "}",
        ]
    )


def servers(recording: Recording, plan: AddressPlan) -> dict[str, list[IPv4Address]]:
    """The addresses of the database, the broker and the load balancers, by security group."""
    members: dict[str, list[IPv4Address]] = {}
    worn: list[tuple[Sequence[str], IPv4Address]] = [
        (recording.only(DATABASE).inputs["vpcSecurityGroupIds"], plan.database),
        (recording.only(BROKER).inputs["securityGroupIds"], plan.broker),
    ]
    for balancer in recording.of_type(LOAD_BALANCER):
        worn.append((balancer.inputs["securityGroups"], plan.load_balancers[balancer.outputs["arn"]]))
    for groups, address in worn:
        for group in groups:
            members.setdefault(group, []).append(address)
    return members


def groups_of_nodes(recording: Recording) -> dict[str, list[str]]:
    """The security groups that the nodes of each autoscaling group wear, by the group's name."""
    templates = {template.id: template for template in recording.of_type(TEMPLATE)}
    worn = {}
    for group in recording.of_type(AUTOSCALING_GROUP):
        mixed = group.inputs.get("mixedInstancesPolicy")
        template_id = (
            mixed["launchTemplate"]["launchTemplateSpecification"]["launchTemplateId"]
            if mixed
            else group.inputs["launchTemplate"]["id"]
        )
        interfaces = templates[template_id].inputs["networkInterfaces"]
        worn[group.outputs["name"]] = [name for interface in interfaces for name in interface["securityGroups"]]
    return worn


class PacketFilter:
    """The packet filter of the running lab."""

    def __init__(self, namespace: Namespace, recording: Recording, plan: AddressPlan) -> None:
        self._namespace = namespace
        self._servers = servers(recording, plan)
        self._groups = [group.id for group in recording.of_type(GROUP)]
        namespace.run("nft", "-f", "-", text=ruleset(recording, plan))
        self.set_nodes({})

    def set_nodes(self, nodes: Mapping[str, Sequence[IPv4Address]]) -> None:
        """Let each security group be worn by its servers and by these nodes."""
        lines = []
        everybody: set[IPv4Address] = set()
        for group in self._groups:
            members = {*self._servers.get(group, ()), *nodes.get(group, ())}
            everybody |= members
            lines += _refill(_set_name(group), members)
        self._namespace.run("nft", "-f", "-", text="\n".join([*lines, *_refill(WEARERS, everybody)]))


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
