"""Following the boots of young nodes, without keeping anybody waiting who looks after all nodes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection
from ipaddress import IPv4Address

from lab.boot_times import Boot, ask_for_progress, read_steps
from lab.node import Node
from lab.progress import say
from lab.target_groups import TargetGroups

# A question costs the node a process or two; it has better things to do during its boot.
SECONDS_BETWEEN_QUESTIONS = 4.0


class BootWatch:
    """Tells how far nodes are, and notes when each does its work."""

    def __init__(self, target_groups: TargetGroups) -> None:
        self._target_groups = target_groups
        self._boots: dict[str, Boot] = {}
        self._steps: dict[str, str] = {}
        self._next_question: dict[str, float] = {}

    def boots(self) -> list[Boot]:
        """The boots of all nodes that became ready, also of those that are gone."""
        return list(self._boots.values())

    def follow(self, node: Node, *, behind_load_balancer: bool) -> None:
        """Look at a node that is not ready yet."""
        if node.instance.id in self._boots:
            return
        if behind_load_balancer and passes_checks(self._target_groups, node.instance.address):
            self._note_ready(node, time.monotonic() - node.powered_on)
            return
        if time.monotonic() < self._next_question.get(node.name, node.powered_on + SECONDS_BETWEEN_QUESTIONS):
            return
        self._next_question[node.name] = time.monotonic() + SECONDS_BETWEEN_QUESTIONS
        step, ready = ask_for_progress(node)
        if ready is not None:
            self._note_ready(node, ready)
        elif step and step != self._steps.get(node.name):
            self._steps[node.name] = step
            say(f"{node.name}: {step}")

    def forget(self, nodes: Collection[Node]) -> None:
        """Keep what is needed of these nodes alone, and the boots of all."""
        names = {node.name for node in nodes}
        for known in (self._steps, self._next_question):
            for name in known.keys() - names:
                known.pop(name, None)

    def _note_ready(self, node: Node, ready: float) -> None:
        try:
            steps = read_steps(node)
        except subprocess.TimeoutExpired:  # it may have been sent away the moment it was ready
            steps = ()
        self._boots[node.instance.id] = Boot(node=node.name, steps=steps, ready=ready)
        say(f"{node.name}: ready {ready:.1f} s after power-on")


def passes_checks(target_groups: TargetGroups, address: IPv4Address) -> bool:
    """Whether the load balancer finds the target at this address healthy."""
    return any(target.healthy and target.address == address for target in target_groups.listing())
