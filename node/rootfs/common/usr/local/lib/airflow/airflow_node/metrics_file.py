"""Metrics of a node's own programs, in files that the node exporter's textfile collector reads.

A program that hangs leaves an old file, and `node_textfile_mtime_seconds` tells its age. A program that ends loses its
directory, and its metrics with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from airflow_node import files

DIRECTORY = Path("/run/airflow-metrics")
"""Each program has a directory of its own in it, the last of its unit's `RuntimeDirectory=`."""
URL = "NODE_METRICS_URL"
"""Without this variable nobody reads the files, and none is written."""

# Prometheus's text format has no use for the times at which counters were created.
disable_created_metrics()


class MetricsFile:
    """The metrics of one program. `registry` is where it registers them."""

    def __init__(self, path: Path | None) -> None:
        """`path`: None writes no file."""
        self._path = path
        self.registry = CollectorRegistry()

    @classmethod
    def of(cls, program: str, environment: Mapping[str, str], directory: Path = DIRECTORY) -> MetricsFile:
        """The file of a program of this node."""
        return cls(directory / program / f"{program}.prom" if environment.get(URL) else None)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody reads it."""
        return self._path is not None

    def write(self) -> None:
        """Write the present values. No service may fail because of its metrics: a file that cannot be written ages."""
        if self._path is not None:
            with suppress(OSError):
                files.write(self._path, generate_latest(self.registry), 0o644)
