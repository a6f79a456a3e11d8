from __future__ import annotations

import ipaddress

import pytest

from tests.node.programs import load

node_address = load("python/node_address.py")


class _Probe:
    """A datagram socket of a node whose primary interface has the address."""

    def __init__(self, *_: object) -> None:
        self.connected: tuple[str, int] | None = None

    def __enter__(self) -> _Probe:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def connect(self, address: tuple[str, int]) -> None:
        self.connected = address

    def getsockname(self) -> tuple[str, int]:
        assert self.connected == ("169.254.169.254", 80)
        return "10.80.64.7", 40_000


def test_a_node_names_itself_by_the_address_that_others_reach(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(node_address.socket, "socket", _Probe)
    assert ipaddress.ip_address(node_address.private_address()) == ipaddress.ip_address("10.80.64.7")
