"""The alarms on what only AWS knows, by service: what is measured, from which value on it is wrong, and for whom.

Recommended alarms: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from aws_catalog.database_classes import MEMORY_GIB
from components.alarm import Alarm, Metric, Missing
from node.roles import NodeGroup, Role
from settings import BrokerSettings, DatabaseSettings, Severity

# Workers that have never reported the end of their drain:
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/manage-retained-instances.html
RETAINED_WORKERS = "GroupTerminatingRetainedInstances"

_BYTES_PER_GIB = 2**30

# RDS grows the storage by itself when less than this is free for five minutes, at most every six hours:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html
_STORAGE_GROWS_BELOW = 0.10
_STORAGE_NEARLY_FULL = 0.05
# PostgreSQL needs the page cache, which counts as free; when even that is gone, it swaps or is killed.
_MEMORY_SHORT = 0.05
# A plan refuses a stack that could need more than max_connections (settings/sections/database.py), so only something
# else can use so many.
_CONNECTIONS_SHORT = 0.90
# The threshold in AWS's recommended alarms.
_SLOW_WRITE_SECONDS = 0.02
_CPU_BUSY_PERCENT = 90
# PostgreSQL stops accepting writes at 2.1 billion; autovacuum begins to freeze at 0.2 billion:
# https://www.postgresql.org/docs/17/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND
_TRANSACTION_IDS = 1_000_000_000
# A burstable node earns 6 to 24 credits an hour, and a new one begins with none.
_CREDITS_SPENT = 1
# With maxmemory-policy noeviction, a full server refuses every message.
_BROKER_MEMORY_PERCENT = 80
_BROKER_LAG_SECONDS = 30
# A worker's request to the execution API is given up after 5 seconds ([workers] execution_api_timeout) and repeated.
_SLOW_RESPONSE_SECONDS = 5
# A few are normal while a master is replaced.
_ERRORS_IN_FIVE_MINUTES = 10
# From this share on, AWS itself advises to act on a NAT gateway's dropped packets:
# https://docs.aws.amazon.com/vpc/latest/userguide/metrics-dimensions-nat-gateway.html
_DROPPED_PERCENT = 0.01
# ACM renews a certificate at least 45 days before it expires:
# https://docs.aws.amazon.com/acm/latest/userguide/managed-renewal.html
_CERTIFICATE_DAYS = 30


def database_alarms(settings: DatabaseSettings, identifier: pulumi.Input[str]) -> list[Alarm]:
    """Alarms on the metadata database."""
    of = _Watch("AWS/RDS", {"DBInstanceIdentifier": identifier}, "database", "database.md", missing="ignore")
    storage = settings.allocated_storage_gib * _BYTES_PER_GIB
    stops = "Without free storage PostgreSQL stops: no task starts, and the UI fails."
    alarms = [
        of.alarm(
            "storage-low",
            "warning",
            f"The database's free storage is below {_STORAGE_GROWS_BELOW:.0%}, and RDS has not grown it in an hour."
            f" {stops}",
            of.metric("FreeStorageSpace", "Minimum"),
            below=storage * _STORAGE_GROWS_BELOW,
            periods=12,
            runbook="free-storage",
        ),
        of.alarm(
            "storage-nearly-full",
            "critical",
            f"The database's free storage is below {_STORAGE_NEARLY_FULL:.0%}. {stops}",
            of.metric("FreeStorageSpace", "Minimum"),
            below=storage * _STORAGE_NEARLY_FULL,
            periods=1,
            runbook="free-storage",
        ),
        of.alarm(
            "cpu",
            "warning",
            "The database's CPU has been busy for a quarter of an hour: tasks start late and the UI is slow.",
            of.metric("CPUUtilization", "Average"),
            above=_CPU_BUSY_PERCENT,
            periods=3,
            runbook="cpu",
        ),
        of.alarm(
            "memory",
            "warning",
            "The database has almost no memory left: it becomes slow, and PostgreSQL may be restarted, which fails what"
            " runs in it.",
            of.metric("FreeableMemory", "Minimum"),
            below=MEMORY_GIB[settings.instance_class] * _BYTES_PER_GIB * _MEMORY_SHORT,
            periods=3,
            runbook="memory",
        ),
        of.alarm(
            "connections",
            "critical",
            f"More than {_CONNECTIONS_SHORT:.0%} of the database's connections are in use. When all are, schedulers"
            " exit and results of tasks are lost.",
            of.metric("DatabaseConnections", "Maximum"),
            above=int(settings.max_connections * _CONNECTIONS_SHORT),
            seconds=60,
            periods=3,
            runbook="connections",
        ),
        of.alarm(
            "write-latency",
            "warning",
            "The database's disk has been slow for a quarter of an hour: each commit waits for it, so tasks start and"
            " end late.",
            of.metric("WriteLatency", "Average"),
            above=_SLOW_WRITE_SECONDS,
            periods=3,
            runbook="disk-latency",
        ),
        of.alarm(
            "transaction-ids",
            "warning",
            "Autovacuum does not keep up: at twice this age of transactions PostgreSQL accepts no more writes, and"
            " nothing runs.",
            of.metric("MaximumUsedTransactionIDs", "Maximum"),
            above=_TRANSACTION_IDS,
            periods=3,
            runbook="transaction-ids",
        ),
    ]
    if settings.instance_class.startswith("db.t"):
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Types.html: unlimited mode
        broken = (
            "The database's burstable class has spent its CPU credits: AWS bills what it uses above its baseline, and"
            " may cost more than a larger class."
        )
        alarms.append(of.credits(broken))
    return alarms


def broker_alarms(settings: BrokerSettings, nodes: Sequence[str]) -> list[Alarm]:
    """Alarms on the broker's nodes, of which any may be the primary."""
    alarms = []
    watches = {
        f"n{number}": _Watch(
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
                above=_BROKER_MEMORY_PERCENT,
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
                    above=_BROKER_LAG_SECONDS,
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


def load_balancer_alarms(purpose: str, dimensions: Mapping[str, pulumi.Input[str]]) -> list[Alarm]:
    """Alarms on a load balancer in front of the masters. Workers use the internal one, people either.

    `dimensions` are those of its targets' metrics. Metrics of the load balancer itself have the first of them only.
    """
    balancer = {"LoadBalancer": dimensions["LoadBalancer"]}
    of = _Watch("AWS/ApplicationELB", balancer, f"{purpose}-web", "web.md")
    targets = _Watch("AWS/ApplicationELB", dimensions, f"{purpose}-web", "web.md")
    users = "People and workers" if purpose == "internal" else "People"
    tasks = " Tasks cannot report, and fail after some minutes." if purpose == "internal" else ""
    return [
        targets.alarm(
            "no-healthy-master",
            "critical",
            f"No master has served for ten minutes: the UI is down.{tasks}",
            targets.metric("HealthyHostCount", "Maximum"),
            below=1,
            seconds=60,
            periods=10,
            # Without any target there is no such metric.
            missing="breaching",
            runbook="no-healthy-master",
        ),
        targets.alarm(
            "unhealthy-master",
            "warning",
            "A master has been unhealthy for half an hour, although unhealthy masters are replaced after a minute: the"
            " replacements fail too.",
            targets.metric("UnHealthyHostCount", "Minimum"),
            above=0,
            periods=6,
            runbook="unhealthy-master",
        ),
        of.alarm(
            "load-balancer-errors",
            "critical",
            f"{users} get errors from the load balancer, which reaches no master or gets no answer in time.{tasks}",
            of.metric("HTTPCode_ELB_5XX_Count", "Sum"),
            above=_ERRORS_IN_FIVE_MINUTES,
            periods=2,
            runbook="errors",
        ),
        targets.alarm(
            "api-server-errors",
            "warning",
            f"{users} get errors from the api-servers.",
            targets.metric("HTTPCode_Target_5XX_Count", "Sum"),
            above=_ERRORS_IN_FIVE_MINUTES,
            periods=3,
            runbook="errors",
        ),
        targets.alarm(
            "slow-responses",
            "warning",
            f"One of twenty requests has waited for the api-servers for more than {_SLOW_RESPONSE_SECONDS} seconds:"
            f" the UI is slow{', and requests of tasks are given up and repeated' if tasks else ''}.",
            targets.metric("TargetResponseTime", "p95"),
            above=_SLOW_RESPONSE_SECONDS,
            periods=3,
            runbook="slow-responses",
        ),
        of.alarm(
            "rejected-connections",
            "warning",
            f"The load balancer has reached its maximum of connections: some {users.lower()} are turned away.",
            of.metric("RejectedConnectionCount", "Sum"),
            above=0,
            periods=1,
            runbook="rejected-connections",
        ),
    ]


def group_alarms(group: NodeGroup, cluster: str) -> list[Alarm]:
    """Alarms on a group of nodes: the masters, a worker pool, or the monitor. EC2's status checks need none: the group
    replaces a node that fails them."""
    group_name = group.name(cluster)
    whom = f"Tasks for pool {group.pool} wait." if group.pool else ""
    if group.role is Role.MASTER:
        whom = "The next failure of a master may stop scheduling and the UI."
    if group.role is Role.MONITOR:
        whom = "No metrics are stored, and no alert rules evaluated."
    of = _Watch("AWS/AutoScaling", {"AutoScalingGroupName": group_name}, group.key, "node-groups.md")
    return [
        Alarm(
            name=f"{group.key}-lacks-nodes",
            severity="warning",
            broken=f"The group {group_name} has had fewer nodes than it wants for three quarters of an hour: it cannot"
            f" launch them, or they fail to boot. {whom}".strip(),
            runbook="node-groups.md#lacks-nodes",
            # The smallest wanted size against the largest actual one: a growing group is not at fault in a period in
            # which it reached what it wanted before.
            metrics={
                "wanted": of.metric("GroupDesiredCapacity", "Minimum"),
                "actual": of.metric("GroupInServiceInstances", "Maximum"),
            },
            expression="wanted - actual",
            above=0,
            periods=9,
            missing="ignore",
        )
    ]


def retained_worker_alarm(pool: str, group_name: str) -> Alarm:
    """An operator has to check a worker that never reported the end of its drain: it costs money, and its group does
    not count it. A worker whose tasks end within a quarter of an hour terminates itself."""
    return Alarm(
        name=f"pool-{pool}-retained",
        severity="warning",
        broken=f"A worker of pool {pool} was told to leave and has not reported that its tasks are done. It still runs,"
        " and costs money, outside of its group.",
        runbook="node-groups.md#retained-workers",
        metrics={
            "retained": Metric(
                namespace="AWS/AutoScaling",
                name=RETAINED_WORKERS,
                dimensions={"AutoScalingGroupName": group_name},
                statistic="Maximum",
            )
        },
        above=0,
        periods=3,
    )


def nat_alarms(zone: str, gateway_id: pulumi.Input[str]) -> list[Alarm]:
    """Alarms on a NAT gateway. Tasks, and nodes that install packages, use it for all that is outside of the VPC."""
    of = _Watch("AWS/NATGateway", {"NatGatewayId": gateway_id}, f"nat-{zone[-1]}", "network.md")
    dropped = Alarm(
        name=f"nat-{zone[-1]}-drops-packets",
        severity="warning",
        broken=f"The NAT gateway in {zone} has dropped packets for a quarter of an hour: connections of tasks to"
        " systems outside of the VPC are slow or break.",
        runbook="network.md#dropped-packets",
        metrics={
            "dropped": of.metric("PacketsDropCount", "Sum"),
            "sent": of.metric("PacketsInFromSource", "Sum"),
            "received": of.metric("PacketsInFromDestination", "Sum"),
        },
        expression="100 * dropped / (sent + received + 1)",
        above=_DROPPED_PERCENT,
        periods=3,
    )
    ports = of.alarm(
        "ports",
        "critical",
        f"The NAT gateway in {zone} has no port left for a destination: new connections of tasks to it fail.",
        of.metric("ErrorPortAllocation", "Sum"),
        above=0,
        periods=2,
        runbook="port-allocation",
    )
    return [dropped, ports]


def certificate_alarms(certificate_arn: pulumi.Input[str]) -> list[Alarm]:
    """Alarms on the certificate of the web interface."""
    of = _Watch("AWS/CertificateManager", {"CertificateArn": certificate_arn}, "certificate", "web.md")
    return [
        of.alarm(
            "expires",
            "critical",
            f"ACM has not renewed the certificate, which expires in less than {_CERTIFICATE_DAYS} days. After that,"
            " browsers refuse the UI.",
            of.metric("DaysToExpiry", "Minimum"),
            below=_CERTIFICATE_DAYS,
            seconds=24 * 60 * 60,
            periods=1,
            # An expired certificate has no such metric.
            missing="ignore",
            runbook="certificate",
        )
    ]


@dataclass(frozen=True)
class _Watch:
    """What the alarms on one resource have in common.

    Attributes:
        prefix: the first part of the alarms' names.
        page: their page in docs/runbooks/.
        missing: see `Alarm`.
    """

    namespace: str
    dimensions: Mapping[str, pulumi.Input[str]]
    prefix: str
    page: str
    missing: Missing = "notBreaching"

    def metric(self, name: str, statistic: str) -> Metric:
        return Metric(namespace=self.namespace, name=name, dimensions=self.dimensions, statistic=statistic)

    def alarm(
        self,
        name: str,
        severity: Severity,
        broken: str,
        metric: Metric,
        *,
        above: float | None = None,
        below: float | None = None,
        seconds: int = 300,
        periods: int,
        runbook: str,
        missing: Missing | None = None,
    ) -> Alarm:
        return Alarm(
            name=f"{self.prefix}-{name}",
            severity=severity,
            broken=broken,
            runbook=f"{self.page}#{runbook}",
            metrics={"value": metric},
            above=above,
            below=below,
            seconds=seconds,
            periods=periods,
            missing=missing or self.missing,
        )

    def credits(self, broken: str) -> Alarm:
        return self.alarm(
            "cpu-credits",
            "warning",
            broken,
            self.metric("CPUCreditBalance", "Maximum"),
            below=_CREDITS_SPENT,
            periods=12,
            runbook="cpu-credits",
        )
