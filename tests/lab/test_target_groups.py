"""The target groups of the running HAProxy."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from lab.target_groups import TargetGroups, parse_state

STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight
3 moto 1 moto 127.0.0.1 2 0 1
5 targets0 1 place1 10.80.0.6 2 4 1
5 targets0 2 place2 10.80.32.4 0 4 1
5 targets0 3 place3 0.0.0.0 0 5 1
5 targets0 4 fallback1 10.80.0.6 2 4 1
5 targets0 5 fallback2 10.80.32.4 2 4 1
5 targets0 6 fallback3 0.0.0.0 0 5 1
"""


def test_the_health_of_targets_is_that_of_their_checks():
    serving, failing, empty = parse_state(STATE)
    assert (str(serving.address), serving.healthy) == ("10.80.0.6", True)
    assert (str(failing.address), failing.healthy) == ("10.80.32.4", False), "the fallback passes no check"
    assert (empty.address, empty.healthy) == (None, False)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that HAProxy gets."""
    commands: list[str] = []

    def send(_: TargetGroups, command: str) -> str:
        if not command.startswith("set"):
            return STATE
        commands.append(command)
        return ""

    monkeypatch.setattr(TargetGroups, "_send", send)
    return commands


def test_a_new_target_is_unhealthy_until_its_checks_pass_and_a_fallback_until_then(sent: list[str]):
    here = [IPv4Address(address) for address in ("10.80.0.6", "10.80.32.4", "10.80.64.4")]
    TargetGroups(Path()).set_members({"targets0": here})
    assert sent == [
        "set server targets0/place3 addr 10.80.64.4",
        "set server targets0/place3 state ready",
        "set server targets0/fallback3 addr 10.80.64.4",
        "set server targets0/fallback3 state ready",
        "set server targets0/place3 health down",
    ]


def test_a_deregistered_target_gets_no_requests_even_if_no_target_is_healthy(sent: list[str]):
    TargetGroups(Path()).set_members({"targets0": [IPv4Address("10.80.32.4")]})
    assert sent == ["set server targets0/place1 state maint", "set server targets0/fallback1 state maint"]


def test_a_target_group_has_the_nodes_of_its_own_groups_only(sent: list[str]):
    TargetGroups(Path()).set_members({"targets1": [IPv4Address("10.80.32.4")]})
    assert [command.split()[2] for command in sent if "maint" in command] == [
        f"targets0/{name}{place}" for place in (1, 2) for name in ("place", "fallback")
    ]
    assert not any("addr" in command for command in sent)
