"""What nodes have of the releases of DAGs."""

from __future__ import annotations

import json
from pathlib import Path

from lab.cluster import Cluster
from lab.node import Node

BUNDLES = Path("var/lib/airflow/bundles")


def current(node: Node, *, bundle: str = "dags") -> str | None:
    """The version that the node made its current one last; None if it has none."""
    pointer = node.disk / BUNDLES / bundle / "current.json"
    return json.loads(pointer.read_text())["version"] if pointer.exists() else None


def versions(node: Node, *, bundle: str = "dags") -> set[str]:
    """The releases on the node's disk."""
    return {path.name for path in (node.disk / BUNDLES / bundle / "versions").glob("*")}


def all_have(cluster: Cluster, version: str, *, bundle: str = "dags") -> bool:
    """Whether it is the current release of every master."""
    return all(current(master, bundle=bundle) == version for master in cluster.nodes(role="master"))


def file_of(node: Node, name: str) -> str:
    """A file of the node's current release; empty if it has none of that name."""
    file = node.disk / BUNDLES / "dags/versions" / str(current(node)) / name
    return file.read_text() if file.exists() else ""
