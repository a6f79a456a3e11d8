"""How long a node took from power-on to work, and which step took how much of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.node import Node

PROPERTIES = (
    "Id",
    "InactiveExitTimestampMonotonic",
    "ActiveEnterTimestampMonotonic",
    "InactiveEnterTimestampMonotonic",
)
CLOUD_INIT = ("cloud-init-local.service", "cloud-init-network.service", "cloud-config.service", "cloud-final.service")
WORKER_READY = r"celery@.* ready\."
"""What a worker says when it begins to take tasks."""
PROGRESS = f"""
systemctl list-units --plain --no-legend --state=activating --type=service 'airflow-*' 'cloud-*'
journalctl --boot --quiet --unit=airflow-worker --grep='{WORKER_READY}' --output=short-monotonic | head -n 1
"""
_MONOTONIC = re.compile(r"^\[ *([0-9.]+)\]")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One unit of a boot; seconds since power-on."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Boot:
    """One node's boot. `ready` is when it did its work: taking tasks, or serving behind the load balancer."""

    node: str
    steps: tuple[Step, ...]
    ready: float


def read_steps(node: Node, *others: str) -> tuple[Step, ...]:
    """Ask the node's systemd when each unit of the boot, and each of the others, began and was done.

    Its monotonic clock is this machine's, so the times count from the power-on that the lab noted.
    """
    units = (*CLOUD_INIT, *others, "airflow-*.service")
    shown = node.exec("systemctl", "show", "--property", ",".join(PROPERTIES), *units)
    return parse_steps(shown.stdout, node.powered_on)


def parse_steps(shown: str, powered_on: float) -> tuple[Step, ...]:
    """The steps that began, in that order, from the output of `systemctl show`."""
    steps = [_step(unit, powered_on) for unit in _units(shown)]
    return tuple(sorted((step for step in steps if step is not None), key=lambda step: step.begin))


def ask_for_progress(node: Node) -> tuple[str, float | None]:
    """The unit that a booting node is busy with, and when it took tasks, in seconds since power-on, if it does."""
    try:
        answer = node.exec(PROGRESS, timeout=10).stdout
    except subprocess.TimeoutExpired:
        return "", None
    return parse_progress(answer, node.powered_on)


def parse_progress(answer: str, powered_on: float) -> tuple[str, float | None]:
    """The answer to PROGRESS: lines of `systemctl list-units`, and perhaps one of the journal."""
    busy, ready = "", None
    for line in answer.splitlines():
        if found := _MONOTONIC.match(line):
            ready = float(found[1]) - powered_on
        elif line.strip() and not busy:
            busy = line.split()[0].removesuffix(".service")
    return busy, ready


def table(boots: Iterable[Boot]) -> str:
    """A line for each node, with the seconds each step took and the seconds from power-on to ready."""
    rows = [("node", "step", "began", "took")]
    for boot in boots:
        for step in boot.steps:
            rows.append((boot.node, step.name, f"{step.begin:.1f}", f"{step.end - step.begin:.1f}"))
        rows.append((boot.node, "ready", f"{boot.ready:.1f}", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}".rstrip()
        for row in rows
    )


def _step(unit: Mapping[str, str], powered_on: float) -> Step | None:
    begin, active, over = (int(unit.get(name) or 0) / 1e6 for name in PROPERTIES[1:])
    # A one-shot unit that does not stay is never "active"; it is done when it is inactive again.
    end = active or over
    if not begin or not end:
        return None
    return Step(name=unit["Id"].removesuffix(".service"), begin=begin - powered_on, end=end - powered_on)


def _units(shown: str) -> Iterator[dict[str, str]]:
    for block in shown.split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if unit:
            yield unit


def slowest_first(boots: Sequence[Boot]) -> list[Boot]:
    """The boots, the one that everybody waited for first."""
    return sorted(boots, key=lambda boot: -boot.ready)
