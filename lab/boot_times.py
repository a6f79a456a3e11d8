"""How long a node took from power-on until it was ready, and how long each step took."""

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
"""What a worker logs when it begins to consume tasks."""
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
    """One node's boot. `ready` is when it began to consume tasks, or to serve behind the load balancer; seconds."""

    node: str
    steps: tuple[Step, ...]
    ready: float


def read_steps(node: Node, *others: str) -> tuple[Step, ...]:
    """When each unit of the boot, and each of the `others`, began and ended, by the node's systemd.

    A node has this machine's monotonic clock, so the times count from the power-on that the lab recorded.
    """
    units = (*CLOUD_INIT, *others, "airflow-*.service")
    shown = node.exec("systemctl", "show", "--property", ",".join(PROPERTIES), *units)
    return parse_steps(shown.stdout, node.powered_on)


def parse_steps(shown: str, powered_on: float) -> tuple[Step, ...]:
    """The steps that began, in the order in which they did, from the output of `systemctl show`."""
    steps = [_step(unit, powered_on) for unit in _units(shown)]
    return tuple(sorted((step for step in steps if step is not None), key=lambda step: step.begin))


def read_progress(node: Node) -> tuple[str, float | None]:
    """The unit that a booting node is starting, and when it began to consume tasks: seconds since power-on, or None."""
    try:
        output = node.exec(PROGRESS, timeout=10).stdout
    except subprocess.TimeoutExpired:
        return "", None
    return parse_progress(output, node.powered_on)


def parse_progress(output: str, powered_on: float) -> tuple[str, float | None]:
    """The same from the output of PROGRESS: lines of `systemctl list-units`, and perhaps one of the journal."""
    busy, ready = "", None
    for line in output.splitlines():
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
    # A one-shot unit without RemainAfterExit is never "active"; it has ended when it is inactive again.
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
    """The boots, the longest first."""
    return sorted(boots, key=lambda boot: -boot.ready)
