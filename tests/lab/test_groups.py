"""What the lab does in the place of EC2 and Auto Scaling, with a fake account and fake nodes."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab import boot_watch, groups
from lab.addresses import AddressPlan
from lab.aws.fleet import Ending, Group
from lab.groups import Groups, Surroundings
from lab.instance import Instance, RoleCredentials
from lab.node import Node
from lab.target_groups import Target
from lab.terminations import Termination

MASTERS, POOL = "airflow-prod-masters", "airflow-prod-pool-heavy"


def instance(number: int, group: str = MASTERS) -> Instance:
    tags = {"airflow:role": "master"} if group == MASTERS else {"airflow:role": "worker", "airflow:pool": "heavy"}
    return Instance(
        id=f"i-{number}",
        group=group,
        address=IPv4Address(f"10.80.0.{number + 3}"),
        zone="eu-west-1a",
        region="eu-west-1",
        account_id="111122223333",
        instance_type="m7i.large",
        image_id="ami-1",
        profile_arn="arn",
        role="airflow-prod-master",
        user_data="",
        tags=tags,
    )


@dataclass
class FakeFleet:
    """An account with the instances that a test puts there; a terminated one is replaced as moto does it."""

    there: dict[str, Instance] = field(default_factory=dict)
    unhealthy: frozenset[str] = frozenset()
    replaces_unhealthy: bool = True
    lifetime: timedelta = timedelta(hours=1)
    handed_out: int = 0
    states: dict[str, str] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)
    at_risk: list[str] = field(default_factory=list)

    def groups(self) -> dict[str, Group]:
        graces = {MASTERS: timedelta(minutes=15), POOL: None}
        return {
            name: Group(
                name=name,
                grace=grace,
                desired=1,
                states={id_: self.states.get(id_, "InService") for id_ in self.there},
                unhealthy=self.unhealthy,
                replaces_unhealthy=self.replaces_unhealthy,
            )
            for name, grace in graces.items()
        }

    def instances(self) -> dict[str, Instance]:
        return dict(self.there)

    def terminate(self, instance_id: str) -> None:
        gone = self.there.pop(instance_id)
        new = replace(gone, id=f"{gone.id}-next")
        self.there[new.id] = new

    def report_unhealthy(self, instance_id: str) -> None:
        self.reported.append(instance_id)

    def recommend_rebalance(self, instance_id: str) -> None:
        self.at_risk.append(instance_id)

    def ending(self, _: Instance) -> Ending:
        return Ending(cause="a user request", how="continue", waited=3.0)

    def credentials(self, _: Instance) -> RoleCredentials:
        self.handed_out += 1
        end = datetime.now(UTC) + self.lifetime
        return RoleCredentials(access_key_id="ASIA", secret_access_key="s", session_token="t", expiration=end)


class FakeNode:
    """A node that a test controls."""

    def __init__(self, name: str, number: int, instance: Instance, *_: object) -> None:
        self.name, self.number, self.instance = name, number, instance
        self.running, self.was_cut = True, False
        self.leader = number
        self.powered_on = time.monotonic() - boot_watch.SECONDS_BETWEEN_CHECKS
        self.shut_down = threading.Event()
        self.shut_down.set()
        self.destroyed = threading.Event()

    def stop(self) -> None:
        self.shut_down.wait(10)
        self.running = False

    def kill(self) -> None:
        self.running, self.was_cut = False, True

    def destroy(self) -> None:
        self.shut_down.wait(10)
        self.destroyed.set()


@dataclass
class FakeTargetGroups:
    healthy: Sequence[IPv4Address] = ()
    members: Sequence[IPv4Address] = ()

    def listing(self) -> list[Target]:
        return [Target(group="targets0", place=1, address=address, healthy=True) for address in self.healthy]

    def set_members(self, members: Mapping[str, Sequence[IPv4Address]]) -> None:
        assert members.keys() <= {"targets0"}
        self.members = list(members.get("targets0", ()))


@dataclass
class FakePacketFilter:
    members: Mapping[str, Sequence[IPv4Address]] = field(default_factory=dict)

    def set_nodes(self, nodes: Mapping[str, Sequence[IPv4Address]]) -> None:
        self.members = nodes


class Lab:
    """The groups under test, one pass at a time."""

    def __init__(self, plan: AddressPlan, folder: Path) -> None:
        self.fleet, self.target_groups, self.packet_filter = FakeFleet(), FakeTargetGroups(), FakePacketFilter()
        self.metadata = folder
        parts = SimpleNamespace(
            namespace=None,
            storage=None,
            plan=plan,
            fleet=self.fleet,
            packet_filter=self.packet_filter,
            target_groups=self.target_groups,
            metadata=folder,
            volumes=SimpleNamespace(connect=lambda _: None, release=lambda _: None),
            behind={MASTERS: ["targets0"]},
            security_groups={MASTERS: ["sg-masters"], POOL: ["sg-workers"]},
            memory={MASTERS: 2560, POOL: 1792},
        )
        self.groups = Groups(cast(Surroundings, parts), on_change=lambda *_: None)

    def reconcile(self, *there: Instance) -> list[FakeNode]:
        """Set the account's instances if any are given, make one pass, and return the nodes."""
        if there:
            self.fleet.there = {one.id: one for one in there}
        self.groups.reconcile()
        return cast(list[FakeNode], self.groups.nodes())


@pytest.fixture
def lab(plan: AddressPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(groups, "Node", FakeNode)
    monkeypatch.setattr(boot_watch, "read_steps", lambda _: ())
    monkeypatch.setattr(boot_watch, "read_progress", lambda _: ("", None))
    return Lab(plan, tmp_path)


def test_every_instance_becomes_a_node_with_a_short_name(lab: Lab):
    nodes = lab.reconcile(instance(1), instance(2), instance(3, POOL))
    assert [node.name for node in nodes] == ["master-1", "master-2", "heavy-1"]
    assert len({node.number for node in nodes}) == 3


def test_load_balancer_and_packet_filter_get_the_nodes_addresses(lab: Lab):
    master, worker = instance(1), instance(2, POOL)
    lab.reconcile(master, worker)
    assert lab.target_groups.members == [master.address], "nothing listens on a worker"
    assert lab.packet_filter.members == {"sg-masters": [master.address], "sg-workers": [worker.address]}


def test_a_node_that_is_powered_off_is_replaced(lab: Lab):
    [node] = lab.reconcile(instance(1))
    node.shut_down.clear()
    node.running = False
    assert lab.reconcile() == [], "its address is not free yet"
    node.shut_down.set()
    lab.groups.close()  # which waits for what is on its way
    assert node.destroyed.is_set()
    assert [one.name for one in lab.reconcile()] == ["master-2"]


def test_failed_health_checks_are_reported_after_the_grace_period(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    [node] = lab.reconcile(instance(1))
    lab.reconcile()
    assert lab.fleet.reported == [], "it has just come into service"
    later = time.monotonic() + 16 * 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    lab.target_groups.healthy = [node.instance.address]
    lab.reconcile()
    assert lab.fleet.reported == [], "it serves"
    lab.target_groups.healthy = []
    lab.reconcile()
    assert lab.fleet.reported == [node.instance.id]


@pytest.mark.parametrize("silenced", ["suspended", "reported before", "not in service"])
def test_failed_health_checks_are_not_reported_without_effect(lab: Lab, monkeypatch: pytest.MonkeyPatch, silenced: str):
    lab.reconcile(instance(1))
    lab.reconcile()
    later = time.monotonic() + 16 * 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    lab.fleet.replaces_unhealthy = silenced != "suspended"
    lab.fleet.unhealthy = frozenset({"i-1"} if silenced == "reported before" else ())
    lab.fleet.states = {"i-1": "Terminating:Wait"} if silenced == "not in service" else {}
    lab.reconcile()
    assert lab.fleet.reported == []


def target_state(lab: Lab, node: FakeNode) -> str:
    return tree(lab, node)["meta-data/autoscaling/target-lifecycle-state"]


def tree(lab: Lab, node: FakeNode) -> dict[str, str]:
    return json.loads((lab.metadata / f"{node.instance.address}.json").read_text())


def test_a_node_reads_its_target_state_and_runs_until_its_instance_is_terminated(lab: Lab):
    [node] = lab.reconcile(instance(1, POOL))
    for state, target in {
        "Pending:Wait": "InService",
        "InService": "InService",
        "Terminating:Wait": "Terminated",
        "Terminating:Retained": "Terminated",
    }.items():
        lab.fleet.states = {"i-1": state}
        lab.reconcile()
        assert target_state(lab, node) == target
    assert node.running


def test_only_nodes_in_service_are_targets_of_the_load_balancer(lab: Lab):
    lab.fleet.states = {"i-1": "Pending:Wait", "i-2": "InService", "i-3": "Terminating:Wait"}
    lab.reconcile(instance(1), instance(2), instance(3))
    assert lab.target_groups.members == [instance(2).address]


def test_a_termination_has_the_cause_and_the_result_that_auto_scaling_recorded(lab: Lab):
    lab.reconcile(instance(1, POOL), instance(2, POOL))
    lab.reconcile(instance(2, POOL))
    [gone] = lab.groups.terminations()
    assert gone == Termination(
        node_name="heavy-1", instance="i-1", pool="heavy", cause="a user request", how="continue", waited_seconds=3.0
    )


def test_a_termination_distinguishes_a_power_cut_from_a_shutdown(lab: Lab):
    killed, off = lab.reconcile(instance(1), instance(2))
    killed.kill()
    off.running = False
    lab.reconcile()
    assert [gone.how for gone in lab.groups.terminations()] == ["power cut", "powered off"]


def test_an_interrupted_node_reads_the_notice_and_loses_its_power_at_that_time(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    lab.fleet.states = {"i-1": "Terminating:Wait"}
    [node] = lab.reconcile(instance(1, POOL))
    lab.groups.interrupt(cast(Node, node), 120)
    lab.reconcile()
    metadata = tree(lab, node)
    assert json.loads(metadata["meta-data/spot/instance-action"])["action"] == "terminate"
    assert json.loads(metadata["meta-data/spot/instance-action"])["time"] == metadata["meta-data/spot/termination-time"]
    assert "noticeTime" in metadata["meta-data/events/recommendations/rebalance"]
    assert lab.fleet.at_risk == ["i-1"]
    assert node.running
    later = time.monotonic() + 120
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert node not in lab.reconcile()
    [gone] = lab.groups.terminations()
    assert (gone.how, node.was_cut) == ("power cut", True)


def test_a_rebalance_recommendation_is_made_once(lab: Lab):
    [node] = lab.reconcile(instance(1, POOL))
    for _ in range(2):
        lab.groups.recommend_rebalance(cast(Node, node))
    assert lab.fleet.at_risk == ["i-1"]
    lab.reconcile()
    assert "meta-data/spot/instance-action" not in tree(lab, node)


def test_a_node_that_shuts_down_keeps_its_network_until_it_is_off(lab: Lab):
    node, other = lab.reconcile(instance(1, POOL), instance(2, POOL))
    node.shut_down.clear()
    lab.reconcile(other.instance)
    assert set(lab.packet_filter.members["sg-workers"]) == {node.instance.address, other.instance.address}
    node.shut_down.set()
    assert node.destroyed.wait(10)
    while len(lab.packet_filter.members["sg-workers"]) > 1:  # `destroyed` is set shortly before the node is removed
        lab.reconcile()
    assert lab.packet_filter.members["sg-workers"] == [other.instance.address]


def test_the_node_of_a_terminated_instance_is_shut_down_and_destroyed(lab: Lab):
    node, other = lab.reconcile(instance(1), instance(2))
    node.shut_down.clear()
    assert lab.reconcile(other.instance) == [other]
    tree = json.loads((lab.metadata / f"{node.instance.address}.json").read_text())
    assert tree["meta-data/autoscaling/target-lifecycle-state"] == "Terminated"
    node.shut_down.set()
    assert node.destroyed.wait(10)


def test_an_address_is_used_again_only_when_its_last_node_is_off(lab: Lab):
    [node] = lab.reconcile(instance(1))
    node.shut_down.clear()
    lab.fleet.terminate(node.instance.id)
    assert lab.reconcile() == []
    assert lab.reconcile() == [], "two machines with one address would disturb each other"
    node.shut_down.set()
    lab.groups.close()
    assert [one.name for one in lab.reconcile()] == ["master-2"]


def test_credentials_are_renewed_before_they_end(lab: Lab):
    lab.reconcile(instance(1))
    lab.reconcile()
    assert lab.fleet.handed_out == 1
    lab.fleet.lifetime = timedelta(minutes=20)
    [node] = lab.reconcile(instance(2))
    lab.reconcile()
    assert lab.fleet.handed_out == 3, f"{node.name} has some that end in 20 minutes"


def test_a_master_is_ready_when_it_passes_the_checks(lab: Lab):
    [node] = lab.reconcile(instance(1))
    assert lab.groups.boots() == []
    lab.target_groups.healthy = [node.instance.address]
    lab.groups.follow_boots()
    assert [boot.node for boot in lab.groups.boots()] == ["master-1"]


def test_a_worker_is_ready_when_it_logs_so(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(boot_watch, "read_progress", lambda _: ("", 91.5))
    lab.reconcile(instance(1, POOL))
    lab.groups.follow_boots()
    [boot] = lab.groups.boots()
    assert (boot.node, boot.ready) == ("heavy-1", 91.5)


def test_a_node_is_not_checked_in_its_first_seconds(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(boot_watch, "read_progress", lambda _: ("", 91.5))
    lab.reconcile(instance(1, POOL))
    monkeypatch.setattr(boot_watch, "SECONDS_BETWEEN_CHECKS", boot_watch.SECONDS_BETWEEN_CHECKS + 60)
    lab.groups.follow_boots()
    assert not lab.groups.boots()


def test_a_node_that_stops_responding_once_it_is_ready_counts_as_ready(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    def do_not_respond(_: object) -> None:
        raise subprocess.TimeoutExpired("systemctl", 70)

    monkeypatch.setattr(boot_watch, "read_progress", lambda _: ("", 91.5))
    monkeypatch.setattr(boot_watch, "read_steps", do_not_respond)
    lab.reconcile(instance(1, POOL))
    lab.groups.follow_boots()
    assert [boot.steps for boot in lab.groups.boots()] == [()]


def test_a_failure_of_a_pass_is_kept_for_the_main_thread(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    failure, failed = RuntimeError("the account is gone"), threading.Event()

    def fail() -> Any:
        failed.set()
        raise failure

    monkeypatch.setattr(lab.fleet, "groups", fail)
    lab.groups.start()
    assert failed.wait(10)
    lab.groups.close()
    assert lab.groups.failure is failure
