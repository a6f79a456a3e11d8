"""What the commands need to know of a stack: read from its stack file, without asking AWS."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.stack_config import stack_settings
from node.environment import variable_name
from node.naming import bucket_name, web_url
from node.roles import MASTERS

PARSED_WITH = ("core", "dag_processor", "operators")
"""The sections of airflow.cfg on which the result of a parse depends."""

ONLY_ON_NODES = ("core", "xcom_backend")
"""An option with a module of the nodes, or of the DAGs' own, that every parse imports and none uses."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What the stack file says.

    Attributes:
        dags_bucket: the bucket's name, which follows from cluster, account and region.
        bundles: the DAG bundles to which releases can be published.
        git_bundles: the repositories of the others, by the names of the bundles.
        queues: the Celery queues that its worker pools serve.
        options: the nodes' Airflow options that matter to DAGs, as environment variables.
        web_url: where people find Airflow.
    """

    region: str
    dags_bucket: str
    bundles: Sequence[str]
    git_bundles: Mapping[str, str]
    queues: Collection[str]
    options: Mapping[str, str]
    web_url: str


def read_stack(root: Path, name: str) -> Stack:
    """The stack; raises StackFileError or SettingsError if its file is missing or has faults."""
    settings = stack_settings(root, name)
    cluster, region = settings.cluster, settings.region
    return Stack(
        region=region,
        dags_bucket=bucket_name(cluster.name, cluster.account_id, region, "dags"),
        bundles=sorted(settings.release_bundles),
        git_bundles={name: each.git.repository for name, each in settings.dag_bundles.items() if each.git},
        web_url=web_url(cluster.name, settings.web.domain),
        queues={queue for pool in settings.worker_pools.values() for queue in pool.queues},
        options={
            variable_name(section, option): value
            for (section, option), value in settings.node_environment(MASTERS).options().items()
            if section in PARSED_WITH and (section, option) != ONLY_ON_NODES
        },
    )
