"""The settings that reach a node, and whether they fit in its user data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from node.airflow_options import lookup
from node.environment import NodeEnvironment, config_text
from node.naming import bucket_name, web_url
from node.roles import MASTERS, NodeGroup, Role, worker_group
from node.user_data import LIMIT_BYTES, UserDataTooLarge, user_data
from node.worker_pool_config import WorkerPoolConfig
from settings import task_slots
from settings.errors import Fault

if TYPE_CHECKING:
    from settings.stack import Settings


def groups(settings: Settings) -> tuple[NodeGroup, ...]:
    """The stack's groups of nodes: the masters, and the workers of each pool."""
    return (MASTERS, *map(worker_group, settings.worker_pools))


def environment(settings: Settings, group: NodeGroup) -> NodeEnvironment:
    """The environment of the group's nodes.

    Settings alone decide it: user data is whole in a preview, and equal settings give equal bytes. Nothing that AWS
    decides at creation belongs here; addresses come with the values of the secrets.
    """
    cluster, region = settings.cluster.name, settings.region
    scales_pools = group.role is Role.MASTER
    account_id = settings.cluster.account_id
    return NodeEnvironment(
        group=group,
        cluster=cluster,
        region=region,
        pool=None if group.pool is None else _worker_pool(settings, group.pool),
        # Only masters read the following three. In a worker's user data, a change of one would replace every pool.
        pools=tuple(_worker_pool(settings, each) for each in settings.worker_pools) if scales_pools else (),
        task_slots=task_slots.of_all_pools(settings) if scales_pools else None,
        metadata_days=settings.retention.metadata_days if scales_pools else 0,
        web_url=web_url(cluster, settings.web.domain),
        secure_cookies=settings.web.domain is not None,
        vpc_cidrs=settings.network.vpc_cidrs,
        task_logs_bucket=bucket_name(cluster, account_id, region, "task-logs"),
        dags_bucket=bucket_name(cluster, account_id, region, "dags"),
        artifacts_bucket=bucket_name(cluster, account_id, region, "artifacts"),
        package_index=settings.package_index.for_nodes() if settings.package_index else None,
        config=settings.config,
    )


def _worker_pool(settings: Settings, name: str) -> WorkerPoolConfig:
    pool = settings.worker_pools[name]
    return WorkerPoolConfig(
        name=name,
        group=worker_group(name).name(settings.cluster.name),
        queues=pool.queues,
        concurrency=pool.task_slots,
        idle_seconds=pool.idle_seconds,
        drain_limit_seconds=pool.drain_limit_seconds,
        heartbeat_seconds=pool.heartbeat_seconds,
        boot_lead_seconds=pool.boot_lead_seconds,
        workers_ahead=pool.most_workers_ahead,
    )


def user_data_fits(settings: Settings) -> Iterator[Fault]:
    """The user data of masters and workers, with all of `airflow:config` and a pool's queues in it, is no larger than
    EC2 allows (16 KiB, compressed)."""
    for group in groups(settings):
        node = environment(settings, group)
        # Options that do not exist are faults themselves, and no node will carry them.
        node = replace(node, config=_existing_options(node))
        try:
            user_data(node)
        except UserDataTooLarge as too_large:
            yield _too_large(node, too_large.size)
            return  # the same options make the others too large


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
    longest = sorted((lengths | queues).items(), key=lambda entry: entry[1], reverse=True)[:3]
    of_config = sum(lengths.values()) >= sum(queues.values())
    nodes = f"workers of {node.pool.name}" if node.pool else f"{node.role}s"
    return Fault(
        key="airflow:config" if of_config else max(queues, key=queues.__getitem__),
        given=f"so much that the user data of the {nodes} is {size:,} bytes, compressed",
        allowed=f"as much as fits: EC2 allows {LIMIT_BYTES:,} bytes of user data, and all options are in it",
        remedy="shorten the longest: " + ", ".join(f"{key} ({length:,} characters)" for key, length in longest),
    )
