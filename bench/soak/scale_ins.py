"""Makes workers leave, for one cause after the other, and records how each of them left."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bench.soak.accounts import Reclaim
from bench.soak.load import Load
from lab import service_log
from lab.aws.lifecycle import IN_SERVICE
from lab.cluster import Cluster
from lab.node import Node
from lab.terminations import Termination

MOST_WORKERS, MOST_BOOTING, MOST_LEAVING = 5, 2, 3
"""What a machine with two cores and 16 GB can run beside two masters."""
SPOT_NOTICE = 120
TASKS_END, RECLAIMED = timedelta(seconds=SPOT_NOTICE - 40), timedelta(seconds=SPOT_NOTICE + 60)
"""From when to when after a notice its tasks may be tried again: they are ended half a minute before the instance."""
FULL, HALF = 6, 3
"""Tasks of `heavy`, whose workers have four slots: two workers, then one too many."""
FULL_SECONDS, HALF_SECONDS = 45, 120
SECONDS_BETWEEN_LOOKS_AT_JOURNALS = 15


class Cause(StrEnum):
    """Why a worker leaves."""

    OPERATOR = "terminated by an operator"
    UNHEALTHY = "reported as unhealthy"
    SPOT = "reclaimed by EC2"
    REFRESH = "replaced by a refresh"
    CONSOLIDATION = "retired as surplus"
    IDLE = "idle"


SHARES = {
    Cause.OPERATOR: 0.22,
    Cause.UNHEALTHY: 0.14,
    Cause.SPOT: 0.14,
    Cause.REFRESH: 0.14,
    Cause.CONSOLIDATION: 0.20,
    Cause.IDLE: 0.16,
}


@dataclass(frozen=True, kw_only=True)
class Sign:
    """When a worker had to leave, and how many tasks it ran then."""

    cause: Cause
    at: datetime
    tasks: int


@dataclass(frozen=True, kw_only=True)
class ScaleIn:
    """A worker that has left. `seconds` is from the sign to its end."""

    cause: Cause
    node: str
    seconds: float
    tasks: int


class ScaleIns:
    """Directs the soak test. `step` is called every second or two."""

    def __init__(self, cluster: Cluster, load: Load, number: int) -> None:
        self._cluster, self._load, self._number = cluster, load, number
        self._signs: dict[str, Sign] = {}
        self._seen = len(cluster.terminations)
        self._phase_began = time.monotonic()
        self._next_look = 0.0
        self.done: list[ScaleIn] = []
        self.others: list[Termination] = []
        self.reclaims: list[Reclaim] = []

    def step(self) -> list[ScaleIn]:
        """Record which workers have left since the last step, and make the next one leave; returns those that left."""
        gone = self._note_terminations()
        self._change_the_load()
        self._act()
        return gone

    def _note_terminations(self) -> list[ScaleIn]:
        terminations = self._cluster.terminations
        new, self._seen = terminations[self._seen :], len(terminations)
        if new or time.monotonic() > self._next_look:
            self._note_retirements()
        gone = []
        for termination in new:
            sign = self._signs.get(termination.instance) or _own_decision(termination)
            if sign is None:
                self.others.append(termination)
                continue
            seconds = max(termination.waited_seconds, (datetime.now(UTC) - sign.at).total_seconds())
            gone.append(ScaleIn(cause=sign.cause, node=termination.node_name, seconds=seconds, tasks=sign.tasks))
        self.done += gone
        return gone

    def _note_retirements(self) -> None:
        """A worker that the masters cordon leaves for that cause, unless it is uncordoned."""
        self._next_look = time.monotonic() + SECONDS_BETWEEN_LOOKS_AT_JOURNALS
        retired: dict[str, datetime] = {}
        for pool in self._load.levels:
            for event in service_log.decisions(self._cluster, pool):
                for instance in event.fields["uncordon"]:
                    retired.pop(instance, None)
                for instance in event.fields["cordon"]:
                    retired.setdefault(instance, event.at)
        nodes = {node.instance.id: node for node in self._cluster.nodes(role="worker")}
        for instance, at in retired.items():
            if instance not in self._signs and instance in nodes:
                tasks = self._load.running_on(str(nodes[instance].instance.address))
                self._signs[instance] = Sign(cause=Cause.CONSOLIDATION, at=at, tasks=tasks)
        recalled = {i for i, sign in self._signs.items() if sign.cause is Cause.CONSOLIDATION and i not in retired}
        for instance in recalled & nodes.keys():
            del self._signs[instance]

    def _change_the_load(self) -> None:
        """`heavy` is full, then half empty, then without a task until its workers have left."""
        age = time.monotonic() - self._phase_began
        level = self._load.levels["heavy"]
        if level == FULL and age > FULL_SECONDS:
            self._set_heavy(HALF)
        elif level == HALF and age > HALF_SECONDS and self._missing(Cause.IDLE) > 0:
            self._set_heavy(0)
        elif (level == HALF and age > HALF_SECONDS) or (level == 0 and not self._cluster.nodes(pool="heavy")):
            self._set_heavy(FULL)

    def _set_heavy(self, level: int) -> None:
        self._load.levels["heavy"] = level
        self._phase_began = time.monotonic()

    def _missing(self, cause: Cause) -> float:
        """How many workers still have to leave for this cause."""
        under_way = sum(sign.cause is cause for sign in self._leaving().values())
        return math.ceil(SHARES[cause] * self._number) - sum(one.cause is cause for one in self.done) - under_way

    def _leaving(self) -> dict[str, Sign]:
        here = {node.instance.id for node in self._cluster.nodes(role="worker")}
        return {instance: sign for instance, sign in self._signs.items() if instance in here}

    def _act(self) -> None:
        workers = self._cluster.nodes(role="worker")
        states = Counter(self._cluster.lifecycle_state(node).partition(":")[0] for node in workers)
        if len(workers) >= MOST_WORKERS or states["Pending"] >= MOST_BOOTING or len(self._leaving()) >= MOST_LEAVING:
            return
        free = [
            node
            for node in workers
            if node.instance.id not in self._signs and self._cluster.lifecycle_state(node) == IN_SERVICE
        ]
        if self._missing(Cause.CONSOLIDATION) > 0 and len(self._cluster.nodes(pool="default")) < 2:
            self._cluster.boto3("autoscaling").set_desired_capacity(
                AutoScalingGroupName=self._group("default"), DesiredCapacity=2
            )
            return
        busy = [node for node in free if self._load.running_on(str(node.instance.address))]
        due = sorted(self._actions(), key=self._missing, reverse=True)
        if busy and self._missing(due[0]) > 0:
            victim = max(busy, key=lambda node: self._load.running_on(str(node.instance.address)))
            self._actions()[due[0]](victim)

    def _actions(self) -> Mapping[Cause, Callable[[Node], None]]:
        return {
            Cause.OPERATOR: self._terminate,
            Cause.UNHEALTHY: self._report,
            Cause.SPOT: self._reclaim,
            Cause.REFRESH: self._refresh,
        }

    def _terminate(self, node: Node) -> None:
        self._sign(Cause.OPERATOR, [node])
        self._cluster.boto3("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId=node.instance.id, ShouldDecrementDesiredCapacity=False
        )

    def _report(self, node: Node) -> None:
        self._sign(Cause.UNHEALTHY, [node])
        self._cluster.boto3("autoscaling").set_instance_health(
            InstanceId=node.instance.id, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
        )

    def _reclaim(self, node: Node) -> None:
        self._sign(Cause.SPOT, [node])
        now = datetime.now(UTC)
        address = str(node.instance.address)
        self.reclaims.append(Reclaim(address=address, begin=now + TASKS_END, end=now + RECLAIMED))
        self._cluster.interrupt(node, seconds=SPOT_NOTICE)

    def _refresh(self, node: Node) -> None:
        pool = node.instance.tags["airflow:pool"]
        there = self._cluster.nodes(pool=pool)
        old = [one for one in there if self._cluster.lifecycle_state(one) == IN_SERVICE]
        self._sign(Cause.REFRESH, [one for one in old if one.instance.id not in self._signs])
        self._cluster.refresh(pool)

    def _sign(self, cause: Cause, nodes: Sequence[Node]) -> None:
        for node in nodes:
            tasks = self._load.running_on(str(node.instance.address))
            self._signs[node.instance.id] = Sign(cause=cause, at=datetime.now(UTC), tasks=tasks)

    def _group(self, pool: str) -> str:
        return self._cluster.recording.exports["autoscalingGroups"]["workerPools"][pool]


def _own_decision(termination: Termination) -> Sign | None:
    """A worker that left without a sign, and whose group became smaller at its request, was idle."""
    if "shrinking the capacity" not in termination.cause:
        return None
    at = datetime.now(UTC) - timedelta(seconds=termination.waited_seconds)
    return Sign(cause=Cause.IDLE, at=at, tasks=0)
