"""Whether what reaches the nodes fits in their user data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from node.airflow_options import lookup
from node.dag_bundles import config_list, known_hosts
from node.environment import NodeEnvironment, config_text
from node.user_data import LIMIT_BYTES, UserDataTooLarge, user_data
from settings.errors import Fault
from settings.stack import Settings


def user_data_fits(settings: Settings) -> Iterator[Fault]:
    """The user data of masters and workers, with all of `airflow:config`, the DAG bundles and a pool's queues in it, is
    no larger than EC2 allows (16 KiB, compressed)."""
    for group in settings.node_groups:
        node = settings.node_environment(group)
        # Options that do not exist are faults themselves, and are not passed to any node.
        node = replace(node, config=_existing_options(node))
        try:
            user_data(node)
        except UserDataTooLarge as too_large:
            yield _too_large(node, too_large.size)
            return  # the same options make the user data of the others too large


def _existing_options(node: NodeEnvironment) -> dict[str, dict[str, str | int | float | bool]]:
    return {
        section: {name: value for name, value in options.items() if lookup.exists(section, name)}
        for section, options in node.config.items()
    }


def _too_large(node: NodeEnvironment, size: int) -> Fault:
    lengths = {
        f"airflow:config.{section}.{option}": len(config_text(value))
        for section, options in node.config.items()
        for option, value in options.items()
    }
    served = (node.pool,) if node.pool else node.pools
    queues = {f"airflow:workerPools.{pool.name}.queues": len(",".join(pool.queues)) for pool in served}
    described = config_list(node.dag_bundles, node.dags_bucket) + known_hosts(node.dag_bundles)
    bundles = {"airflow:dagBundles": len(described)}
    packages_key = f"airflow:{f'workerPools.{node.pool.name}' if node.pool else 'masters'}.systemPackages"
    packages = {packages_key: len(" ".join(node.system_packages))}
    longest = sorted((lengths | queues | bundles | packages).items(), key=lambda entry: entry[1], reverse=True)[:3]
    parts = {
        "airflow:config": lengths,
        "airflow:dagBundles": bundles,
        max(queues, key=queues.__getitem__): queues,
        packages_key: packages,
    }
    nodes = f"workers of {node.pool.name}" if node.pool else f"{node.role}s"
    return Fault(
        key=max(parts, key=lambda key: sum(parts[key].values())),
        given=f"values with which the user data of the {nodes} is {size:,} bytes, compressed",
        allowed=f"values that fit: EC2 allows {LIMIT_BYTES:,} bytes of user data for options, queues, "
        "bundles and packages",
        remedy="shorten the longest: " + ", ".join(f"{key} ({length:,} characters)" for key, length in longest),
    )
