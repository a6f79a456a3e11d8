"""The alarms on the metadata database."""

from __future__ import annotations

import pulumi

from aws_catalog.database_classes import MEMORY_GIB
from components.alarm import Alarm, Watch
from settings import DatabaseSettings

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


def database_alarms(settings: DatabaseSettings, identifier: pulumi.Input[str]) -> list[Alarm]:
    """Alarms on the metadata database."""
    of = Watch("AWS/RDS", {"DBInstanceIdentifier": identifier}, "database", "database.md", missing="ignore")
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
