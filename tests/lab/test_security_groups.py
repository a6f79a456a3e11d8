"""The program's security groups as a packet filter."""

from __future__ import annotations

import re

from engine.recording import Recording
from lab.addresses import AddressPlan
from lab.security_groups import GROUP, groups_of_nodes, ruleset


def group(recording: Recording, part: str) -> str:
    [found] = [g.id for g in recording.of_type(GROUP) if g.name.endswith(f"-{part}")]
    return found


def name(recording: Recording, part: str) -> str:
    return "@" + group(recording, part).replace("-", "_")


def chain(text: str, head: str) -> list[str]:
    """The rules of one chain."""
    return [line.strip() for line in re.findall(rf"chain {head} {{\n(.*?)\n  }}", text, re.DOTALL)[0].splitlines()]


def test_each_ingress_rule_of_the_program_allows_its_port(recording: Recording, plan: AddressPlan):
    rules = chain(ruleset(recording, plan), "in")
    workers, database = name(recording, "workers"), name(recording, "database")
    assert f"ip daddr {database} ip saddr {workers} tcp dport 5432-5432 return" in rules


def test_workers_do_not_reach_the_masters_directly(recording: Recording, plan: AddressPlan):
    workers, masters = name(recording, "workers"), name(recording, "masters")
    text = ruleset(recording, plan)
    assert not [rule for rule in chain(text, "in") if f"daddr {masters}" in rule and f"saddr {workers}" in rule]


def test_what_no_rule_allows_is_dropped_in_both_directions(recording: Recording, plan: AddressPlan):
    text = ruleset(recording, plan)
    assert chain(text, "in")[-1] == chain(text, "out")[-1] == "counter drop"


def test_only_groups_with_an_egress_rule_open_connections(recording: Recording, plan: AddressPlan):
    rules = chain(ruleset(recording, plan), "out")
    assert [rule for rule in rules if f"saddr {name(recording, 'workers')}" in rule]
    assert not [rule for rule in rules if f"saddr {name(recording, 'database')}" in rule], "it has no business outside"


def test_name_server_and_metadata_service_need_no_rule(recording: Recording, plan: AddressPlan):
    assert chain(ruleset(recording, plan), "out")[0] == f"ip daddr {{ {plan.resolver}, 169.254.169.254 }} return"


def test_dhcp_is_allowed_before_any_rule(recording: Recording, plan: AddressPlan):
    rules = chain(ruleset(recording, plan), "decide")
    jumps = [at for at, rule in enumerate(rules) if "jump" in rule]
    assert rules.index("udp dport { 67, 68 } accept") < min(jumps), "AWS filters no DHCP"


def test_nodes_have_the_groups_of_their_launch_template(recording: Recording):
    found = groups_of_nodes(recording)
    assert found["airflow-prod-masters"] == [group(recording, "masters")]
    assert found["airflow-prod-pool-heavy"] == [group(recording, "workers")]
