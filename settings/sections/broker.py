"""`airflow:broker`: ElastiCache, where tasks wait for a worker."""

from __future__ import annotations

from typing import Annotated

from aws_catalog import broker_nodes, limits
from settings.section import Section
from settings.types import Number, in_catalog, one_of, whole_number

BrokerNodeType = Annotated[
    str,
    one_of(
        "an ElastiCache node type of a current generation, for example cache.m7g.large",
        broker_nodes.NODE_TYPES,
        in_catalog("broker_nodes"),
    ),
]


class BrokerSettings(Section):
    """ElastiCache, where tasks wait for a worker."""

    node_type: BrokerNodeType
    """CPU and memory of each broker node. A queued task needs a few KiB, so memory is rarely the limit; the burstable
    types run out of CPU credits under steady load. Changing it is an online resize with a short failover."""

    replicas: Annotated[Number, whole_number(*limits.BROKER_REPLICAS, "nodes")] = 1
    """Copies of the primary in other zones; ElastiCache allows five. With one or more, failover is automatic. With 0 a
    failed node comes back empty: the masters notice within about a minute, and its queued tasks run again within two
    and a half."""

    snapshot_retention_days: Annotated[Number, whole_number(*limits.BROKER_SNAPSHOT_RETENTION_DAYS, "days")] = 7
    """Days that a daily snapshot is kept, at most 35; 0 disables snapshots."""
