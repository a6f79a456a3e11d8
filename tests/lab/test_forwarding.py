"""The exceptions in a packet filter that drops forwarded packets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.forwarding import COMMENT, dropping_chains, own_rules

DOCKER: list[Mapping[str, Any]] = [
    {"metainfo": {"version": "1.0.6"}},
    {"table": {"family": "ip", "name": "filter", "handle": 1}},
    {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}},
    {"chain": {"family": "ip6", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}},
    {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "hook": "input", "policy": "drop"}},
    {"chain": {"family": "ip", "table": "filter", "name": "DOCKER-USER", "handle": 9}},
    {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 7, "comment": COMMENT}},
    {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 8, "comment": "of another program"}},
]


def test_the_lab_gets_exceptions_only_where_forwarded_packets_are_dropped():
    assert list(dropping_chains(DOCKER)) == ["ip filter FORWARD"]


def test_only_the_labs_own_rules_are_removed():
    assert list(own_rules(DOCKER)) == [("ip filter FORWARD", 7)]


def test_a_machine_without_a_packet_filter_gets_no_rules():
    assert list(dropping_chains([])) == []
