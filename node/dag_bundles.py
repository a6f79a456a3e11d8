"""The DAG bundles of a cluster, as Airflow's option `dag_bundle_config_list` describes them to the nodes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

DEFAULT_BUNDLE = "dags"


@dataclass(frozen=True, kw_only=True)
class DagBundle:
    """A bundle whose DAGs are published as releases in the bucket for DAGs, below its name."""

    name: str


def config_list(bundles: Iterable[DagBundle], dags_bucket: str) -> str:
    """The option's value. The order of the bundles in the stack file does not matter."""
    return json.dumps(
        [
            {
                "name": bundle.name,
                "classpath": "release_bundle.ReleaseDagBundle",
                "kwargs": {"bucket_name": dags_bucket},
            }
            for bundle in sorted(bundles, key=lambda bundle: bundle.name)
        ]
    )
