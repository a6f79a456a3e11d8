"""The target groups of the running load balancers, changed through HAProxy's control socket."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from lab.load_balancer import FALLBACK, PLACE

IN_MAINTENANCE, RUNNING = 1, 2
"""HAProxy's numbers for a place that is out of use, and for one that passes its checks."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One place in a target group; `address` is None while it is free."""

    group: str
    place: int
    address: IPv4Address | None
    healthy: bool


class TargetGroups:
    """Every target group of the cluster."""

    def __init__(self, control: Path) -> None:
        """`control` is HAProxy's control socket."""
        self._control = control

    def listing(self) -> list[Target]:
        """Every place of every target group."""
        return parse_state(self._send("show servers state"))

    def set_members(self, members: Mapping[str, Sequence[IPv4Address]]) -> None:
        """Register these addresses, by target group, and only these; new ones are unhealthy until checked."""
        for target in self.listing():
            if target.address is not None and target.address not in members.get(target.group, ()):
                for name in (PLACE, FALLBACK):
                    self._send(f"set server {target.group}/{name}{target.place} state maint")
        listing = self.listing()
        for group in sorted({target.group for target in listing}):
            places = [target for target in listing if target.group == group]
            free = [target.place for target in places if target.address is None]
            known = {target.address for target in places}
            for address in members.get(group, ()):
                if address not in known:
                    self._register(group, free.pop(0), address)

    def _register(self, group: str, place: int, address: IPv4Address) -> None:
        for name in (PLACE, FALLBACK):
            self._send(f"set server {group}/{name}{place} addr {address}")
            self._send(f"set server {group}/{name}{place} state ready")
        self._send(f"set server {group}/{PLACE}{place} health down")

    def _send(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(30)
            connection.connect(str(self._control))
            connection.sendall(command.encode() + b"\n")
            answer = bytearray()
            while chunk := connection.recv(65536):
                answer += chunk
        return answer.decode()


def parse_state(shown: str) -> list[Target]:
    """The output of `show servers state`: https://docs.haproxy.org/3.0/management.html#9.3-show%20servers%20state"""
    rows = [line.split() for line in shown.splitlines()[2:]]
    return [_target(row) for row in rows if len(row) > 3 and row[3].startswith(PLACE)]


def _target(row: Sequence[str]) -> Target:
    _, group, _, place, address, operation, administration, *_ = row
    in_use = not int(administration) & IN_MAINTENANCE
    return Target(
        group=group,
        place=int(place.removeprefix(PLACE)),
        address=IPv4Address(address) if in_use else None,
        healthy=in_use and int(operation) == RUNNING,
    )
