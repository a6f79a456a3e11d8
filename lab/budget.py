"""Divides the machine's memory: how much each node may use, and how many workers of each worker pool fit."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.recording import Recording, Resource
from lab.aws.account import GROUP, launch_template
from node.environment import ENVIRONMENT_FILE
from node.roles import Role
from node.user_data import decode

RESERVE_MIB = 2048
"""For PostgreSQL, Valkey, moto, HAProxy and the lab itself, which use half of it under load, and for the shell."""


@dataclass(frozen=True)
class Memory:
    """MiB for a node: a part of its own, and one for each task slot."""

    node: int
    slot: int = 0

    def of(self, slots: int) -> int:
        """What a node with this many task slots gets."""
        return self.node + self.slot * slots


# What a node uses when small tasks fill all its slots, measured with Airflow 3.3.2 ...
NEEDS_MIB = {Role.MASTER: Memory(1700), Role.WORKER: Memory(640, 136), Role.MONITOR: Memory(400)}
# ... and its limit. Not all nodes use that much at once: together they have a limit of their own.
LIMITS_MIB = {Role.MASTER: Memory(2560), Role.WORKER: Memory(1024, 192), Role.MONITOR: Memory(768)}


@dataclass(frozen=True, kw_only=True)
class Share:
    """The memory of one autoscaling group's nodes.

    Attributes:
        pool: the worker pool of its nodes, if their role has pools.
        needs: MiB that a busy node uses.
        limit: MiB that a node may use; above it the kernel kills its largest process, as on an instance of this size.
        maximum: nodes that the group may have in the lab.
        wanted: nodes that the group may have in the stack file.
    """

    role: Role
    pool: str | None
    needs: int
    limit: int
    maximum: int
    wanted: int


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The machine's memory in MiB: what is `available`, what all `nodes` together may use, and each group's share."""

    available: int
    nodes: int
    shares: Mapping[str, Share]

    @property
    def shortage(self) -> str:
        """The error if not even the smallest cluster fits; empty otherwise."""
        needed = _needed(self.shares)
        if needed <= self.nodes:
            return ""
        return (
            f"It needs {_gib(needed + RESERVE_MIB)} of memory for its servers, the masters and one worker of each pool "
            f"(or minSize workers if that is more); {_gib(self.available)} is available here."
        )

    @property
    def maximums(self) -> dict[str, int]:
        """The largest size of each group, by its name."""
        return {group: share.maximum for group, share in self.shares.items()}

    def summary(self) -> str:
        """The limits in one line, for the operator."""
        groups = [
            f"{share.pool} up to {share.maximum} of {share.wanted} {share.role}s x {_gib(share.limit)}"
            if share.pool
            else f"{share.maximum} {share.role}s x {_gib(share.limit)}"
            for share in self.shares.values()
        ]
        return f"memory: {_gib(self.available)} here; {', '.join(groups)}; {_gib(self.nodes)} for all of them together"


def divide(recording: Recording, available: int) -> Budget:
    """Divide `available` MiB.

    The masters and each worker pool's smallest size get their share even if memory is short.
    """
    nodes = available - RESERVE_MIB
    shares = {group.outputs["name"]: _share(recording, group) for group in recording.of_type(GROUP)}
    return Budget(available=available, nodes=nodes, shares=_fill(shares, nodes - _needed(shares)))


def _share(recording: Recording, group: Resource) -> Share:
    """The share of a group with the fewest nodes that the cluster needs."""
    environment = decode(launch_template(recording, group).inputs["userData"])[ENVIRONMENT_FILE]
    variables = dict(line.split("=", 1) for line in shlex.split(environment, comments=True))
    role, slots = Role(variables["NODE_ROLE"]), int(variables.get("NODE_CONCURRENCY", 0))
    return Share(
        role=role,
        pool=variables.get("NODE_POOL"),
        needs=NEEDS_MIB[role].of(slots),
        limit=LIMITS_MIB[role].of(slots),
        maximum=max(group.inputs["minSize"], 1),
        wanted=group.inputs["maxSize"],
    )


def _needed(shares: Mapping[str, Share]) -> int:
    return sum(share.needs * share.maximum for share in shares.values())


def _fill(shares: Mapping[str, Share], left: int) -> dict[str, Share]:
    """Add a worker to the smallest pool, repeatedly, as long as a pool may grow and another worker fits."""
    grown = dict(shares)
    while growing := {n: one for n, one in grown.items() if one.maximum < one.wanted and one.needs <= left}:
        name = min(growing, key=lambda one: growing[one].maximum)
        grown[name] = replace(growing[name], maximum=growing[name].maximum + 1)
        left -= growing[name].needs
    return grown


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"
