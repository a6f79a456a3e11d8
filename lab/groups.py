"""Runs a node for every EC2 instance of the account, and terminates the instance of a node that has ended."""

from __future__ import annotations

import threading
import time
from collections import Counter
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
from lab.volumes import Volumes
from node.roles import Role

SECONDS_BETWEEN_PASSES = 2.0


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The parts of the lab that the groups use.

    Attributes:
        metadata: the directory that the metadata service reads.
        volumes: the EBS volumes of the program.
        behind: the target groups of each autoscaling group, by the latter's name.
        security_groups: ids of the security groups of each autoscaling group's nodes, by the latter's name.
        memory: MiB that a node of each group may use, by the group's name.
    """

    namespace: Namespace
    storage: NodeStorage
    plan: AddressPlan
    fleet: Fleet
    packet_filter: PacketFilter
    target_groups: TargetGroups
    metadata: Path
    volumes: Volumes
    behind: Mapping[str, Sequence[str]]
    security_groups: Mapping[str, Sequence[str]]
    memory: Mapping[str, int]


class Groups:
    """Makes the nodes match the instances, every two seconds, until it is closed.

    `on_change` is called with the nodes and their lifecycle states, by instance id, when either has changed.
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
        self._launched: Counter[str] = Counter()
        self._published: object = None
        self._metadata = MetadataFiles(surroundings.metadata, surroundings.fleet, surroundings.plan)
        self._boots = BootWatch(surroundings.target_groups)
        self._closing = threading.Event()
        self._stopping = ThreadPoolExecutor(max_workers=8, thread_name_prefix="stop-node")
        self._threads = [
            threading.Thread(target=self._repeat, args=(what,), name=what.__name__, daemon=True)
            for what in (self.reconcile, self.follow_boots)
        ]
        self.failure: Exception | None = None
        """The error that ended the passes; the lab cannot be used after that."""

    def start(self) -> None:
        """Begin the passes, the first of which boots the first nodes."""
        for thread in self._threads:
            thread.start()

    def nodes(self) -> list[Node]:
        """The nodes that exist, oldest first."""
        return list(self._nodes.values())

    def boots(self) -> list[Boot]:
        """The boots of all nodes that became ready, also of those that are gone."""
        return self._boots.boots()

    def terminations(self) -> list[Termination]:
        """The nodes that have ended, in that order."""
        return list(self._terminations)

    def interrupt(self, node: Node, seconds: float) -> None:
        """Let EC2 reclaim a node: it gets its notice now, and loses its power after `seconds`."""
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        self._risks[node.instance.id] = replace(self._risks.get(node.instance.id, Notices()), interruption=end)
        self._cuts[node.instance.id] = time.monotonic() + seconds
        self.recommend_rebalance(node)  # EC2 sends it with the notice at the latest

    def kill(self, node: Node) -> None:
        """Cut a node's power."""
        self._nodes[node.instance.id].kill()

    def recommend_rebalance(self, node: Node) -> None:
        """Let EC2 recommend to replace a node; a group with capacity rebalancing launches another and ends this one."""
        known = self._risks.get(node.instance.id, Notices())
        if known.rebalance is None:
            self._risks[node.instance.id] = replace(known, rebalance=datetime.now(UTC))
            self._lab.fleet.recommend_rebalance(node.instance.id)

    def close(self) -> None:
        """End the passes and power all nodes off."""
        self._closing.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(30)
        for node in self.nodes():
            self._stopping.submit(node.kill)
        self._stopping.shutdown(wait=True)

    def _repeat(self, what: Callable[[], None]) -> None:
        while not self._closing.wait(SECONDS_BETWEEN_PASSES if self._nodes else 0.2):
            try:
                what()
            except Exception as failure:  # noqa: BLE001 - the main thread raises it, whatever it is
                self.failure = failure
                return

    def reconcile(self) -> None:
        """One pass: compare the account with the nodes, and boot, end and terminate accordingly."""
        groups, instances = self._lab.fleet.groups(), self._lab.fleet.instances()
        self._behind_load_balancer = {group.name for group in groups.values() if group.grace is not None}
        for node in self.nodes():
            if node.instance.id not in instances:
                self._remove(node, termination_of(node, self._lab.fleet.ending(node.instance)))
            elif time.monotonic() >= self._cuts.get(node.instance.id, float("inf")):
                node.kill()
                self._lose(node, "EC2 reclaimed the spot instance")
            elif not node.running:
                self._lose(node, "the node powered itself off")
            else:
                self._keep(node, groups[node.instance.group])
        # An address is free again only when the node that had it is off.
        taken = {node.instance.address for node in list(self._leaving)}
        for instance in instances.values():
            if instance.id not in self._nodes and instance.address not in taken:
                self._boot(instance)
        self._lab.volumes.connect({node.instance.id: node.leader for node in self.nodes()})
        self._publish(groups)

    def follow_boots(self) -> None:
        """One pass over the boots of nodes that are not ready yet."""
        nodes = self.nodes()
        for node in nodes:
            if node.running:
                self._boots.follow(node, behind_load_balancer=node.instance.group in self._behind_load_balancer)
        self._boots.keep_only(nodes)

    def _boot(self, instance: Instance) -> None:
        name, number = self._name(instance)
        self._metadata.write(instance, Notices())
        node = Node(name, number, instance, self._lab.namespace, self._lab.storage, self._lab.memory[instance.group])
        self._nodes[instance.id] = node
        say(f"{name}: powered on as {instance.id}, {instance.address} in {instance.zone}")

    def _name(self, instance: Instance) -> tuple[str, int]:
        """`master-1`, or `default-1` after a worker's pool: a name and a number, neither of which is used again."""
        role = Role(instance.tags["airflow:role"])
        kind = instance.tags["airflow:pool"] if role is Role.WORKER else role.value
        self._launched[kind] += 1
        return f"{kind}-{self._launched[kind]}", self._launched.total()

    def _keep(self, node: Node, group: Group) -> None:
        """Update a running node's metadata, and report it as unhealthy to its group if its health checks fail."""
        id_ = node.instance.id
        state = group.states.get(id_, PENDING)
        if state == IN_SERVICE:
            self._in_service.setdefault(id_, time.monotonic())
        self._metadata.write(node.instance, replace(self._risks.get(id_, Notices()), target_state=target_of(state)))
        if state == IN_SERVICE and group.replaces_unhealthy and id_ not in group.unhealthy and self._fails(node, group):
            say(f"{node.name}: fails the load balancer's health check; its group replaces it")
            self._lab.fleet.report_unhealthy(id_)

    def _fails(self, node: Node, group: Group) -> bool:
        """Whether its grace period is over and it fails the load balancer's health checks."""
        if group.grace is None:
            return False
        age = time.monotonic() - self._in_service[node.instance.id]
        return age > group.grace.total_seconds() and not passes_checks(self._lab.target_groups, node.instance.address)

    def _lose(self, node: Node, cause: str) -> None:
        """Let EC2 end the instance of a node that is powered off, without waiting for hooks."""
        how = "power cut" if node.was_cut else "powered off"
        say(f"{node.name}: {how}; its group replaces it")
        self._lab.fleet.terminate(node.instance.id)
        self._remove(node, termination_of(node, None, cause=cause, how=how))

    def _remove(self, node: Node, termination: Termination) -> None:
        """Shut down the node of an instance that is terminated."""
        id_ = node.instance.id
        self._terminations.append(termination)
        self._leaving.add(node)
        del self._nodes[id_]
        risks = self._risks.pop(id_, Notices())
        self._cuts.pop(id_, None)
        self._in_service.pop(id_, None)
        if node.running:
            self._metadata.write(node.instance, replace(risks, target_state="Terminated"))
        self._stopping.submit(self._end, node)

    def _end(self, node: Node) -> None:
        try:
            if node.running:
                node.stop()
            self._metadata.forget(node.instance)
            node.destroy()
            self._lab.volumes.release(node.instance.id)
        except LabError as failure:
            say(f"{node.name}: {failure}")
        finally:
            self._leaving.discard(node)
        say(f"{node.name}: terminated")

    def _publish(self, groups: Mapping[str, Group]) -> None:
        """Update load balancers, packet filter and `on_change` if nodes or their states have changed."""
        nodes = self.nodes()
        states = {node.instance.id: groups[node.instance.group].states.get(node.instance.id, PENDING) for node in nodes}
        leaving = list(self._leaving)
        if (states, leaving) == self._published:
            return
        targets: dict[str, list[IPv4Address]] = {}
        for node in nodes:
            if states[node.instance.id] == IN_SERVICE:
                for target_group in self._lab.behind.get(node.instance.group, ()):
                    targets.setdefault(target_group, []).append(node.instance.address)
        self._lab.target_groups.set_members(targets)
        members: dict[str, list[IPv4Address]] = {}
        for node in [*nodes, *leaving]:  # a node that shuts down still uses the network
            for group in self._lab.security_groups[node.instance.group]:
                members.setdefault(group, []).append(node.instance.address)
        self._lab.packet_filter.set_nodes(members)
        self._published = states, leaving
        self._on_change(nodes, states)
