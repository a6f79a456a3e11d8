"""The cluster's monitor, as its tests ask it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lab.cluster import Cluster
from lab.node import Node


@dataclass(frozen=True)
class Monitor:
    """VictoriaMetrics, vmalert and Alertmanager on the node that has the volume now."""

    cluster: Cluster

    @property
    def node(self) -> Node:
        """The newest."""
        return self.cluster.nodes(role="monitor")[-1]

    def query(self, text: str, at: float | None = None) -> list[dict[str, Any]]:
        """The series of an instant query, now or at a Unix time: their labels in `metric`, and their `value`."""
        time = "" if at is None else f" --data-urlencode time={at}"
        ask = f"curl --silent --max-time 10 --get http://127.0.0.1:8428/api/v1/query --data-urlencode 'query={text}'"
        answer = self.node.exec(ask + time).stdout
        return json.loads(answer)["data"]["result"] if answer else []

    def value(self, text: str, at: float | None = None) -> float | None:
        """The value of the only series; None if there is none."""
        found = self.query(text, at)
        return float(found[0]["value"][1]) if found else None
