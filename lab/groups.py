"""EC2's and Auto Scaling's part: every instance of the account runs as a node, and what is unhealthy is replaced."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from lab.addresses import AddressPlan
from lab.aws.fleet import Fleet, Group
from lab.boot_times import Boot, ask_for_progress, read_steps
from lab.firewall import Firewall
from lab.instance import Instance, metadata
from lab.load_balancer import Targets
from lab.namespace import Namespace
from lab.node import Node, NodeStorage
from lab.progress import say

SECONDS_BETWEEN_LOOKS = 1.0
# Credentials last an hour, and clients ask for new ones a quarter of an hour before the end.
REFRESH_BEFORE_END = timedelta(minutes=30)
# A question costs the node a process or two; it has better things to do during its boot.
SECONDS_BETWEEN_QUESTIONS = 4.0


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the groups need of the lab.

    Attributes:
        metadata: the directory that the metadata service reads.
        security_groups: those that the nodes of each group wear, by the group's name.
    """

    namespace: Namespace
    storage: NodeStorage
    plan: AddressPlan
    fleet: Fleet
    firewall: Firewall
    targets: Targets
    metadata: Path
    security_groups: Mapping[str, Sequence[str]]


class Groups:
    """Keeps nodes and instances the same, once a second, until it is closed."""

    def __init__(self, surroundings: Surroundings, on_change: Callable[[Sequence[Node]], None]) -> None:
        self._lab = surroundings
        self._on_change = on_change
        self._nodes: dict[str, Node] = {}
        self._leaving: set[Node] = set()
        self._boots: dict[str, Boot] = {}
        self._credentials_end: dict[str, datetime] = {}
        self._births: dict[str, int] = {}
        self._steps: dict[str, str] = {}
        self._next_question: dict[str, float] = {}
        self._announced: list[IPv4Address] | None = None
        self._closing = threading.Event()
        self._stopping = ThreadPoolExecutor(max_workers=8, thread_name_prefix="stop-node")
        self._thread = threading.Thread(target=self._watch, name="groups", daemon=True)
        self.failure: Exception | None = None
        """What ended the watch; the lab is of no use then."""

    def start(self) -> None:
        """Boot the first nodes, and go on watching."""
        self._thread.start()

    def nodes(self) -> list[Node]:
        """The nodes that are there, in the order of their birth."""
        return list(self._nodes.values())

    def boots(self) -> list[Boot]:
        """The boots of all nodes that became ready, also of those that are gone."""
        return list(self._boots.values())

    def close(self) -> None:
        """Stop watching and power all nodes off."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(30)
        for node in self.nodes():
            self._stopping.submit(node.kill)
        self._stopping.shutdown(wait=True)

    def _watch(self) -> None:
        while not self._closing.wait(SECONDS_BETWEEN_LOOKS if self._nodes else 0.0):
            try:
                self.look()
            except Exception as failure:  # noqa: BLE001 - whatever it is, the lab's main thread has to hear of it
                self.failure = failure
                return

    def look(self) -> None:
        """Look once at the account, and at the nodes, and do what has to be done."""
        groups, instances = self._lab.fleet.groups(), self._lab.fleet.instances()
        newcomers = [instance for instance in instances.values() if instance.id not in self._nodes]
        for node in self.nodes():
            if node.instance.id not in instances:
                self._remove(node)
            elif not node.running:
                self._replace(node, "is powered off")
            elif reason := self._complaint(node, groups[node.instance.group]):
                self._replace(node, reason)
            else:
                self._renew_credentials(node)
        # An address is free again only when the node that had it is off.
        taken = {node.instance.address for node in list(self._leaving)}
        for instance in newcomers:
            if instance.address not in taken:
                self._boot(instance)
        self._announce(groups)
        for node in self.nodes():
            self._follow_boot(node, groups[node.instance.group])

    def _boot(self, instance: Instance) -> None:
        name, number = self._name(instance)
        self._write_metadata(instance, "InService")
        node = Node(name, number, instance, self._lab.namespace, self._lab.storage)
        self._nodes[instance.id] = node
        say(f"{name}: powered on as {instance.id}, {instance.address} in {instance.zone}")

    def _name(self, instance: Instance) -> tuple[str, int]:
        """`master-1`, `default-1`: the pool or the role, and a number that is never used again."""
        kind = instance.tags.get("airflow:pool") or instance.tags.get("airflow:role", "node")
        self._births[kind] = self._births.get(kind, 0) + 1
        return f"{kind}-{self._births[kind]}", sum(self._births.values())

    def _write_metadata(self, instance: Instance, lifecycle_state: str) -> None:
        credentials = self._lab.fleet.credentials(instance)
        self._credentials_end[instance.id] = credentials.expiration
        tree = metadata(instance, credentials, self._lab.plan, lifecycle_state=lifecycle_state)
        file = self._lab.metadata / f"{instance.address}.json"
        file.with_suffix(".new").write_text(json.dumps(tree))
        file.with_suffix(".new").rename(file)

    def _renew_credentials(self, node: Node) -> None:
        if self._credentials_end[node.instance.id] - datetime.now(UTC) < REFRESH_BEFORE_END:
            self._write_metadata(node.instance, "InService")

    def _complaint(self, node: Node, group: Group) -> str | None:
        """Why the group has to replace a running node, if it has to."""
        if not group.replaces_unhealthy:
            return None
        if node.instance.id in group.unhealthy:
            return "was reported as unhealthy"
        age = time.monotonic() - node.powered_on
        if group.grace is not None and age > group.grace.total_seconds() and not self._passes_checks(node):
            return "does not pass the load balancer's health check"
        return None

    def _replace(self, node: Node, reason: str) -> None:
        say(f"{node.name}: {reason}; its group replaces it")
        self._lab.fleet.terminate(node.instance.id)
        self._remove(node)

    def _remove(self, node: Node) -> None:
        """The instance is terminated: tell the node, press its power button, and forget it."""
        del self._nodes[node.instance.id]
        self._leaving.add(node)
        if node.running:
            self._write_metadata(node.instance, "Terminated")
        self._stopping.submit(self._end, node)

    def _end(self, node: Node) -> None:
        try:
            if node.running:
                node.stop()
            node.destroy()
            (self._lab.metadata / f"{node.instance.address}.json").unlink(missing_ok=True)
        finally:
            self._leaving.discard(node)
        say(f"{node.name}: terminated")

    def _announce(self, groups: Mapping[str, Group]) -> None:
        """Tell load balancers and packet filter who is there now."""
        nodes = self.nodes()
        addresses = [node.instance.address for node in nodes]
        if addresses == self._announced:
            return
        self._lab.targets.set_members([n.instance.address for n in nodes if groups[n.instance.group].grace is not None])
        wearers: dict[str, list[IPv4Address]] = {}
        for node in nodes:
            for group in self._lab.security_groups[node.instance.group]:
                wearers.setdefault(group, []).append(node.instance.address)
        self._lab.firewall.set_nodes(wearers)
        self._announced = addresses
        self._on_change(nodes)

    def _follow_boot(self, node: Node, group: Group) -> None:
        """Tell how far a young node is, and note when it does its work."""
        if node.instance.id in self._boots:
            return
        if group.grace is not None and self._passes_checks(node):
            self._note_ready(node, time.monotonic() - node.powered_on)
            return
        if time.monotonic() < self._next_question.get(node.name, 0.0):
            return
        self._next_question[node.name] = time.monotonic() + SECONDS_BETWEEN_QUESTIONS
        step, ready = ask_for_progress(node)
        if ready is not None:
            self._note_ready(node, ready)
        elif step and step != self._steps.get(node.name):
            self._steps[node.name] = step
            say(f"{node.name}: {step}")

    def _passes_checks(self, node: Node) -> bool:
        return any(t.healthy and t.address == node.instance.address for t in self._lab.targets.listing())

    def _note_ready(self, node: Node, ready: float) -> None:
        self._boots[node.instance.id] = Boot(node=node.name, steps=read_steps(node), ready=ready)
        say(f"{node.name}: ready {ready:.1f} s after power-on")
