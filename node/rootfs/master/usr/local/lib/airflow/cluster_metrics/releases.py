"""The releases of DAGs that this master has. Those of the masters differ only while a new one arrives."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from airflow_node import dag_release
from airflow_node.dag_release import Pointer, ReleaseError
from airflow_node.metrics_file import MetricsFile
from prometheus_client import Gauge

BUNDLES = Path("/var/lib/airflow/bundles")


class ReleaseMetrics:
    """For each bundle of releases, the one that was current when this master last asked S3, and when it became so."""

    def __init__(self, file: MetricsFile, bundles: Path = BUNDLES) -> None:
        self._bundles = bundles
        self._release = Gauge(
            "airflow_dag_release_info",
            "1 for the release of DAGs that this master has",
            ["bundle", "version"],
            registry=file.registry,
        )
        self._published = Gauge(
            "airflow_dag_release_published_timestamp_seconds",
            "When that release was made the current one",
            ["bundle"],
            registry=file.registry,
        )

    def measure(self) -> None:
        """Look at what the DAG processor has noted. A bundle without a release has no series."""
        self._release.clear()
        self._published.clear()
        for noted in self._bundles.glob("*/current.json"):
            bundle = noted.parent.name
            try:
                current = Pointer.from_json(noted.read_bytes()).current
                published = datetime.fromisoformat(current.published).timestamp()
            except (OSError, ReleaseError, ValueError):
                continue
            if dag_release.BUNDLE.fullmatch(bundle):
                self._release.labels(bundle, current.version).set(1)
                self._published.labels(bundle).set(published)
