"""What nodes have of the releases of DAGs."""

from __future__ import annotations

import json
from pathlib import Path

from lab.cluster import Cluster
from lab.node import Node

BUNDLE = Path("var/lib/airflow/bundles/dags")


def current(node: Node) -> str | None:
    """The version that the node made its current one last; None if it has none."""
    pointer = node.disk / BUNDLE / "current.json"
    return json.loads(pointer.read_text())["version"] if pointer.exists() else None


def versions(node: Node) -> set[str]:
    """The releases on the node's disk."""
    return {path.name for path in (node.disk / BUNDLE / "versions").glob("*")}


def all_have(cluster: Cluster, version: str) -> bool:
    """Whether it is the current release of every master."""
    return all(current(master) == version for master in cluster.nodes(role="master"))


def file_of(node: Node, name: str) -> str:
    """A file of the node's current release; empty if it has none of that name."""
    file = node.disk / BUNDLE / "versions" / str(current(node)) / name
    return file.read_text() if file.exists() else ""
