"""Follows the boots of nodes in a thread of its own, so that a slow node delays nothing else."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection
from ipaddress import IPv4Address

from lab.boot_times import Boot, read_progress, read_steps
from lab.node import Node
from lab.progress import say
from lab.target_groups import TargetGroups

# Each check costs the node two processes, during its boot.
SECONDS_BETWEEN_CHECKS = 4.0


class BootWatch:
    """Logs the progress of each boot, and records when the node is ready."""

    def __init__(self, target_groups: TargetGroups) -> None:
        self._target_groups = target_groups
        self._boots: dict[str, Boot] = {}
        self._steps: dict[str, str] = {}
        self._next_check: dict[str, float] = {}

    def boots(self) -> list[Boot]:
        """The boots of all nodes that became ready, also of those that are gone."""
        return list(self._boots.values())

    def follow(self, node: Node, *, behind_load_balancer: bool) -> None:
        """Check a node that may not be ready yet."""
        if node.instance.id in self._boots:
            return
        if behind_load_balancer and passes_checks(self._target_groups, node.instance.address):
            self._record_ready(node, time.monotonic() - node.powered_on)
            return
        if time.monotonic() < self._next_check.get(node.name, node.powered_on + SECONDS_BETWEEN_CHECKS):
            return
        self._next_check[node.name] = time.monotonic() + SECONDS_BETWEEN_CHECKS
        step, ready = read_progress(node)
        if ready is not None:
            self._record_ready(node, ready)
        elif step and step != self._steps.get(node.name):
            self._steps[node.name] = step
            say(f"{node.name}: {step}")

    def keep_only(self, nodes: Collection[Node]) -> None:
        """Forget the progress of all nodes but these. Boots are kept."""
        names = {node.name for node in nodes}
        for known in (self._steps, self._next_check):
            for name in known.keys() - names:
                known.pop(name, None)

    def _record_ready(self, node: Node, ready: float) -> None:
        try:
            steps = read_steps(node)
        except subprocess.TimeoutExpired:  # it may be terminated the moment it is ready
            steps = ()
        self._boots[node.instance.id] = Boot(node=node.name, steps=steps, ready=ready)
        say(f"{node.name}: ready {ready:.1f} s after power-on")


def passes_checks(target_groups: TargetGroups, address: IPv4Address) -> bool:
    """Whether the target at this address passes the load balancer's health checks."""
    return any(target.healthy and target.address == address for target in target_groups.listing())
