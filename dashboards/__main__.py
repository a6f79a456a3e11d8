"""Writes the JSON files that Grafana imports: `make docs`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import dags, nodes, overview, worker_pools

FOLDER = Path(__file__).parent


def files() -> Iterator[tuple[Path, str]]:
    """Path and content of each file."""
    for module in (overview, worker_pools, nodes, dags):
        text = json.dumps(module.dashboard(), cls=JSONEncoder, indent=2, sort_keys=True)
        yield FOLDER / f"{module.__name__.rpartition('.')[2]}.json", f"{text}\n"


if __name__ == "__main__":
    for path, content in files():
        path.write_text(content)
