"""The alarms on the Celery broker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.alarm import Alarm, Metric, Watch
from settings import BrokerSettings

# With maxmemory-policy noeviction, a full server refuses every message.
_MEMORY_PERCENT = 80
_CPU_BUSY_PERCENT = 90
_LAG_SECONDS = 30


def broker_alarms(settings: BrokerSettings, nodes: Sequence[str]) -> list[Alarm]:
    """Alarms on the broker's nodes, of which any may be the primary."""
    alarms = []
    watches = {
        f"n{number}": Watch(
            "AWS/ElastiCache", {"CacheClusterId": node}, f"broker-{node[-3:]}", "broker.md", missing="ignore"
        )
        for number, node in enumerate(nodes, 1)
    }
    for of in watches.values():
        alarms += [
            of.alarm(
                "memory",
                "critical",
                "The broker's memory is nearly full. When it is, it refuses messages: no task is queued.",
                of.metric("DatabaseMemoryUsagePercentage", "Maximum"),
                above=_MEMORY_PERCENT,
                seconds=60,
                periods=3,
                runbook="memory",
            ),
            of.alarm(
                "cpu",
                "warning",
                "The broker's one thread has been busy for a quarter of an hour: tasks reach workers late.",
                of.metric("EngineCPUUtilization", "Average"),
                above=_CPU_BUSY_PERCENT,
                periods=3,
                runbook="cpu",
            ),
        ]
        if settings.node_type.startswith("cache.t"):
            # https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheNodes.SupportedTypes.html: standard mode
            broken = "The broker has spent its CPU credits and is slowed down: tasks reach workers late."
            alarms.append(of.credits(broken))
        if settings.replicas:
            alarms.append(
                of.alarm(
                    "replication-lag",
                    "warning",
                    "A replica of the broker is behind. A failover to it would lose the newest messages; the masters"
                    " queue their tasks again.",
                    of.metric("ReplicationLag", "Maximum"),
                    above=_LAG_SECONDS,
                    seconds=60,
                    periods=5,
                    missing="notBreaching",  # a replica that has become the primary has no such metric
                    runbook="replication-lag",
                )
            )
    if settings.replicas:
        alarms.append(_failover({id_: of.metric("IsMaster", "Maximum") for id_, of in watches.items()}))
    return alarms


def _failover(primaries: Mapping[str, Metric]) -> Alarm:
    """For five minutes after a node has become the primary, or is it no longer."""
    return Alarm(
        name="broker-failover",
        severity="warning",
        broken="Another node of the broker has become the primary. Workers reconnect within seconds; a message that was"
        " lost is found by the masters, which queue its task again.",
        runbook="broker.md#failover",
        metrics=primaries,
        expression=" + ".join(f"ABS(DIFF({id_}))" for id_ in primaries),
        above=0,
        seconds=60,
        periods=5,
        once=True,
    )
