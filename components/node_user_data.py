"""What of the stack's settings lands on a node, packed as the user data of its launch template."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.node_template import masters_group_name, pool_group_name
from node.environment import NodeEnvironment
from node.roles import Role
from node.user_data import UserDataTooLarge, user_data
from settings import Settings


@dataclass(frozen=True, kw_only=True)
class NodeSurroundings:
    """What a node is told about the rest of the cluster.

    Plain values on purpose: user data is whole in a preview, and equal settings give equal bytes. Nothing that AWS
    decides at creation belongs here; addresses come with the values of the secrets.
    """

    web_url: str
    task_logs_bucket: str
    dags_bucket: str
    artifacts_bucket: str


def master_user_data(settings: Settings, surroundings: NodeSurroundings) -> str:
    """The masters' user data. Raises pulumi.RunError when it is larger than EC2 takes."""
    group = masters_group_name(settings.cluster.name)
    return _packed(_environment(settings, surroundings, role=Role.MASTER, group_name=group))


def worker_user_data(settings: Settings, surroundings: NodeSurroundings, pool: str) -> str:
    """The user data of a pool's workers. Raises pulumi.RunError when it is larger than EC2 takes."""
    group = pool_group_name(settings.cluster.name, pool)
    return _packed(_environment(settings, surroundings, role=Role.WORKER, group_name=group, pool=pool))


def _environment(
    settings: Settings, surroundings: NodeSurroundings, *, role: Role, group_name: str, pool: str | None = None
) -> NodeEnvironment:
    pools = settings.worker_pools
    return NodeEnvironment(
        role=role,
        cluster=settings.cluster.name,
        region=settings.region,
        group_name=group_name,
        pool=pool,
        queues=pools[pool].queues if pool else (),
        concurrency=pools[pool].concurrency if pool else None,
        # Schedulers alone read it. On a worker it would roll every pool when one of them changes its size.
        task_slots=None if pool else sum(each.max_size * each.concurrency for each in pools.values()),
        web_url=surroundings.web_url,
        secure_cookies=settings.web.domain is not None,
        vpc_cidr=settings.network.vpc_cidr,
        task_logs_bucket=surroundings.task_logs_bucket,
        dags_bucket=surroundings.dags_bucket,
        artifacts_bucket=surroundings.artifacts_bucket,
        config=settings.config,
    )


def _packed(environment: NodeEnvironment) -> str:
    try:
        return user_data(environment)
    except UserDataTooLarge as too_large:
        raise pulumi.RunError(str(too_large)) from None
