"""The log of the masters' scaling service and of the workers' lifecycle service: a JSON object on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lab.cluster import Cluster
from lab.node import Node

SCALING, LIFECYCLE = "airflow-scaling.service", "airflow-lifecycle.service"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line; `fields` are all its fields."""

    at: datetime
    name: str
    fields: dict[str, Any]


def decisions(cluster: Cluster, pool: str) -> list[Event]:
    """The scaler's decisions for a worker pool, of all masters, the oldest first."""
    found = [event for master in cluster.nodes(role="master") for event in events(master, SCALING)]
    of_pool = [event for event in found if event.name == "decision" and event.fields["pool"] == pool]
    return sorted(of_pool, key=lambda event: event.at)


def events(node: Node, unit: str) -> list[Event]:
    """The events in a unit's journal, the oldest first; lines of other programs are left out."""
    shown = node.exec("journalctl", "--boot", "--quiet", "--no-pager", "--output=json", f"--unit={unit}")
    return list(parse(shown.stdout))


def parse(journal: str) -> Iterator[Event]:
    """The events in the output of `journalctl --output=json`."""
    for line in journal.splitlines():
        entry = json.loads(line)
        try:
            fields = json.loads(entry["MESSAGE"])
        except (TypeError, ValueError):  # of another program, or not text
            continue
        if isinstance(fields, dict) and "event" in fields:
            at = datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1e6, UTC)
            yield Event(at=at, name=fields["event"], fields=fields)
