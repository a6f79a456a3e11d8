"""EC2's part: every instance of the account runs as a node, and a node that ends is an instance that has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from lab.addresses import AddressPlan
from lab.aws.fleet import Fleet, Group
from lab.aws.lifecycle import IN_SERVICE, PENDING, target_of
from lab.boot_times import Boot
from lab.boot_watch import BootWatch, passes_checks
from lab.instance import Instance, Notices
from lab.metadata_files import MetadataFiles
from lab.namespace import Namespace
from lab.node import Node, NodeStorage
from lab.progress import LabError, say
from lab.security_groups import PacketFilter
from lab.target_groups import TargetGroups
from lab.terminations import Termination, termination_of

SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the groups need of the lab.

    Attributes:
        metadata: the directory that the metadata service reads.
        security_groups: those that the nodes of each group wear, by the group's name.
        memory: MiB that a node of each group may use, by the group's name.
    """

    namespace: Namespace
    storage: NodeStorage
    plan: AddressPlan
    fleet: Fleet
    packet_filter: PacketFilter
    target_groups: TargetGroups
    metadata: Path
    security_groups: Mapping[str, Sequence[str]]
    memory: Mapping[str, int]


class Groups:
    """Keeps nodes and instances the same, once a second, until it is closed.

    `on_change` is called with the nodes and their lifecycle states, by instance id, when something about them is new.
    """

    def __init__(
        self, surroundings: Surroundings, on_change: Callable[[Sequence[Node], Mapping[str, str]], None]
    ) -> None:
        self._lab = surroundings
        self._on_change = on_change
        self._nodes: dict[str, Node] = {}
        self._leaving: set[Node] = set()
        self._terminations: list[Termination] = []
        self._risks: dict[str, Notices] = {}
        self._cuts: dict[str, float] = {}
        self._in_service: dict[str, float] = {}
        self._behind_load_balancer: set[str] = set()
        self._births: dict[str, int] = {}
        self._announced: object = None
        self._metadata = MetadataFiles(surroundings.metadata, surroundings.fleet, surroundings.plan)
        self._boots = BootWatch(surroundings.target_groups)
        self._closing = threading.Event()
        self._stopping = ThreadPoolExecutor(max_workers=8, thread_name_prefix="stop-node")
        self._threads = [
            threading.Thread(target=self._repeat, args=(what,), name=what.__name__, daemon=True)
            for what in (self.look, self.follow_boots)
        ]
        self.failure: Exception | None = None
        """What ended the watch; the lab is of no use then."""

    def start(self) -> None:
        """Boot the first nodes, and go on watching."""
        for thread in self._threads:
            thread.start()

    def nodes(self) -> list[Node]:
        """The nodes that are there, in the order of their birth."""
        return list(self._nodes.values())

    def boots(self) -> list[Boot]:
        """The boots of all nodes that became ready, also of those that are gone."""
        return self._boots.boots()

    def terminations(self) -> list[Termination]:
        """The nodes that went, in that order."""
        return list(self._terminations)

    def interrupt(self, node: Node, seconds: float) -> None:
        """Let EC2 take a node away: it is told now, and loses its power after `seconds`."""
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        self._risks[node.instance.id] = replace(self._risks.get(node.instance.id, Notices()), interruption=end)
        self._cuts[node.instance.id] = time.monotonic() + seconds
        self.recommend_rebalance(node)  # EC2 sends it along with the notice at the latest

    def kill(self, node: Node) -> None:
        """Cut a node's power."""
        self._nodes[node.instance.id].kill()

    def recommend_rebalance(self, node: Node) -> None:
        """Let EC2 see a node at risk; a group that rebalances its capacity launches another and ends this one."""
        known = self._risks.get(node.instance.id, Notices())
        if known.rebalance is None:
            self._risks[node.instance.id] = replace(known, rebalance=datetime.now(UTC))
            self._lab.fleet.recommend_rebalance(node.instance.id)

    def close(self) -> None:
        """Stop watching and power all nodes off."""
        self._closing.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(30)
        for node in self.nodes():
            self._stopping.submit(node.kill)
        self._stopping.shutdown(wait=True)

    def _repeat(self, what: Callable[[], None]) -> None:
        while not self._closing.wait(SECONDS_BETWEEN_LOOKS if self._nodes else 0.2):
            try:
                what()
            except Exception as failure:  # noqa: BLE001 - whatever it is, the lab's main thread has to hear of it
                self.failure = failure
                return

    def look(self) -> None:
        """Look once at the account, and at the nodes, and do what has to be done."""
        groups, instances = self._lab.fleet.groups(), self._lab.fleet.instances()
        self._behind_load_balancer = {group.name for group in groups.values() if group.grace is not None}
        for node in self.nodes():
            if node.instance.id not in instances:
                self._remove(node, termination_of(node, self._lab.fleet.ending(node.instance)))
            elif time.monotonic() >= self._cuts.get(node.instance.id, float("inf")):
                node.kill()
                self._lose(node, "EC2 reclaimed the spot instance")
            elif not node.running:
                self._lose(node, "the node was found without power")
            else:
                self._keep(node, groups[node.instance.group])
        # An address is free again only when the node that had it is off.
        taken = {node.instance.address for node in list(self._leaving)}
        for instance in instances.values():
            if instance.id not in self._nodes and instance.address not in taken:
                self._boot(instance)
        self._announce(groups)

    def follow_boots(self) -> None:
        """Look once at the nodes that are not ready yet."""
        nodes = self.nodes()
        for node in nodes:
            if node.running:
                self._boots.follow(node, behind_load_balancer=node.instance.group in self._behind_load_balancer)
        self._boots.forget(nodes)

    def _boot(self, instance: Instance) -> None:
        name, number = self._name(instance)
        self._metadata.tell(instance, Notices())
        node = Node(name, number, instance, self._lab.namespace, self._lab.storage, self._lab.memory[instance.group])
        self._nodes[instance.id] = node
        say(f"{name}: powered on as {instance.id}, {instance.address} in {instance.zone}")

    def _name(self, instance: Instance) -> tuple[str, int]:
        """`master-1`, `default-1`: the pool or the role, and a number that is never used again."""
        kind = instance.tags.get("airflow:pool") or instance.tags.get("airflow:role", "node")
        self._births[kind] = self._births.get(kind, 0) + 1
        return f"{kind}-{self._births[kind]}", sum(self._births.values())

    def _keep(self, node: Node, group: Group) -> None:
        """Tell a running node what it has to know, and its group what the load balancer thinks of it."""
        id_ = node.instance.id
        state = group.states.get(id_, PENDING)
        if state == IN_SERVICE:
            self._in_service.setdefault(id_, time.monotonic())
        self._metadata.tell(node.instance, replace(self._risks.get(id_, Notices()), target_state=target_of(state)))
        if state == IN_SERVICE and group.replaces_unhealthy and id_ not in group.unhealthy and self._fails(node, group):
            say(f"{node.name}: does not pass the load balancer's health check; its group replaces it")
            self._lab.fleet.report_unhealthy(id_)

    def _fails(self, node: Node, group: Group) -> bool:
        """Whether the load balancer's verdict counts, and is a bad one."""
        if group.grace is None:
            return False
        age = time.monotonic() - self._in_service[node.instance.id]
        return age > group.grace.total_seconds() and not passes_checks(self._lab.target_groups, node.instance.address)

    def _lose(self, node: Node, cause: str) -> None:
        """The node is off while its instance is there: EC2 ends the instance, whatever hook waits for it."""
        how = "power cut" if node.was_cut else "powered off"
        say(f"{node.name}: {how}; its group replaces it")
        self._lab.fleet.terminate(node.instance.id)
        self._remove(node, termination_of(node, None, cause=cause, how=how))

    def _remove(self, node: Node, termination: Termination) -> None:
        """The instance is terminated: tell the node, press its power button, and forget it."""
        id_ = node.instance.id
        self._terminations.append(termination)
        self._leaving.add(node)
        del self._nodes[id_]
        risks = self._risks.pop(id_, Notices())
        self._cuts.pop(id_, None)
        self._in_service.pop(id_, None)
        if node.running:
            self._metadata.tell(node.instance, replace(risks, target_state="Terminated"))
        self._stopping.submit(self._end, node)

    def _end(self, node: Node) -> None:
        try:
            if node.running:
                node.stop()
            self._metadata.forget(node.instance)
            node.destroy()
        except LabError as failure:
            say(f"{node.name}: {failure}")
        finally:
            self._leaving.discard(node)
        say(f"{node.name}: terminated")

    def _announce(self, groups: Mapping[str, Group]) -> None:
        """Tell load balancers, packet filter and who else wants to know who is there now, and in which state."""
        nodes = self.nodes()
        states = {node.instance.id: groups[node.instance.group].states.get(node.instance.id, PENDING) for node in nodes}
        leaving = list(self._leaving)
        if (states, leaving) == self._announced:
            return
        self._lab.target_groups.set_members(
            [
                node.instance.address
                for node in nodes
                if node.instance.group in self._behind_load_balancer and states[node.instance.id] == IN_SERVICE
            ]
        )
        wearers: dict[str, list[IPv4Address]] = {}
        for node in [*nodes, *leaving]:  # who shuts down still has its network
            for group in self._lab.security_groups[node.instance.group]:
                wearers.setdefault(group, []).append(node.instance.address)
        self._lab.packet_filter.set_nodes(wearers)
        self._announced = states, leaving
        self._on_change(nodes, states)
