"""`airflow:database`: RDS PostgreSQL, its storage, its backups and its connections."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from aws_catalog import database_classes, limits
from settings.draining import GENERATIONS
from settings.errors import Fault, FaultyValue, counted, shown
from settings.section import Section
from settings.sections.airflow_config.values import POOL_OPTIONS, Config, as_whole_number
from settings.sections.cluster import ClusterSettings
from settings.sections.masters import MasterSettings
from settings.sections.worker_pools import WorkerPools
from settings.types import Flag, Number, in_catalog, matching, one_of, whole_number

DatabaseClass = Annotated[
    str,
    one_of(
        "an RDS instance class that runs PostgreSQL 17, for example db.m7g.large",
        database_classes.MEMORY_GIB,
        in_catalog("database_classes"),
    ),
]
EngineVersion = Annotated[
    str,
    matching(
        r"17(?:\.[1-9]\d?)?",
        'PostgreSQL 17, in quotes: "17" for the newest minor version, or one such as "17.6"',
        'write "17", or pin a minor version such as "17.6": Airflow 3.3 and the parameter group are tested with 17',
    ),
]


class DatabaseSettings(Section):
    """RDS PostgreSQL for Airflow's metadata and Celery's results."""

    instance_class: DatabaseClass
    """CPU, memory, and by its memory the number of connections: masters and workers that need more than it holds are
    refused. Changing it restarts the database at once: a failover of a minute or two with Multi-AZ, longer without."""

    engine_version: EngineVersion = "17"
    """PostgreSQL version, in quotes. `"17"`: RDS creates it with its default minor version and applies new ones in the
    maintenance window. A minor version pins it; RDS never goes back to an older one."""

    allocated_storage_gib: Annotated[Number, whole_number(*limits.DATABASE_STORAGE_GIB, "GiB, gp3")]
    """GiB of gp3 storage. It can be raised while the database runs, once every six hours, by at least ten percent.
    Lowering it does nothing: RDS cannot shrink storage. From 400 GiB on, 12,000 IOPS and 500 MiB/s are included instead
    of 3,000 and 125, at no extra charge. If RDS has grown the storage beyond the size in the stack file, raise it with
    `pulumi up --refresh`; otherwise RDS refuses a size between the two."""

    max_allocated_storage_gib: Annotated[Number, whole_number(*limits.DATABASE_STORAGE_GIB, "GiB, gp3")]
    """GiB that storage autoscaling may grow to, at least ten percent above `allocatedStorageGib`. A full disk stops the
    scheduler, so leave room; only what is allocated is billed."""

    multi_az: Flag = True
    """A synchronous standby in another zone, and about twice the price. Without it, you have to restore a backup
    yourself when a zone or host fails."""

    backup_retention_days: Annotated[Number, whole_number(*limits.DATABASE_BACKUP_RETENTION_DAYS, "days")] = 14
    """Days back to which the database can be restored, to the second. 0 switches backups off, and is refused while
    `cluster.protectData` is true. RDS keeps at most 35."""

    final_snapshot: Flag = True
    """A last snapshot when the database is deleted, and backups that outlive it. Without it, `pulumi destroy` leaves
    nothing to restore."""

    @property
    def max_connections(self) -> int:
        """The limit that the parameter group sets: `LEAST(DBInstanceClassMemory/9531392, 5000)`, RDS's own formula,
        with a cautious estimate of the memory that RDS keeps for itself (aws_catalog/database_classes.py)."""
        return database_classes.max_connections(self.instance_class)


def storage_can_grow(database: DatabaseSettings) -> Iterator[Fault]:
    """`maxAllocatedStorageGib` is at least ten percent above `allocatedStorageGib`."""
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html; in integers, because
    # 1.1 is not exact in floating point.
    least = math.ceil(database.allocated_storage_gib * 11 / 10)
    if database.max_allocated_storage_gib < least:
        yield Fault(
            key="airflow:database.maxAllocatedStorageGib",
            given=f"{database.max_allocated_storage_gib}, with allocatedStorageGib {database.allocated_storage_gib}",
            allowed=f"{least:,} to {limits.DATABASE_STORAGE_GIB[1]:,} (GiB): RDS requires room to grow by ten percent",
            remedy=f"raise it to {least:,} or more; only what is allocated is billed",
        )


def protected_data_has_backups(database: DatabaseSettings, cluster: ClusterSettings) -> Iterator[Fault]:
    """With `cluster.protectData`, `database.backupRetentionDays` is 1 or more."""
    if cluster.protect_data and database.backup_retention_days == 0:
        yield Fault(
            key="airflow:database.backupRetentionDays",
            given="0, with airflow:cluster.protectData true",
            allowed=f"1 to {limits.DATABASE_BACKUP_RETENTION_DAYS[1]} (days) while data is protected",
            remedy="keep backups for at least one day, or set protectData to false",
        )


# Airflow's defaults: https://airflow.apache.org/docs/apache-airflow/stable/configurations-ref.html#database
_POOL_SIZE = 5
_MAX_OVERFLOW = 10
# Only the api-server's routes use the async engine. It has SQLAlchemy's defaults (5 and 10): Airflow's options do not
# apply to it.
_ASYNC_ENGINE = 15
_OTHER_SERVICES = ("scheduler", "dag-processor", "triggerer")
# The scheduler reads Celery's results with up to this many processes ([celery] sync_parallelism, cores - 1).
_RESULT_READERS = 8
# The service that scales the worker pools, and the one that finds lost tasks.
_OUR_SERVICES = 2
# Superuser and rds_superuser slots (5), RDS's monitoring, a migration, `airflow` commands and people at psql.
_RESERVE = 25


@dataclass(frozen=True, kw_only=True)
class ConnectionBudget:
    """The most connections that masters and workers hold at a time."""

    of_one_master: int
    masters: int
    workers: int

    @property
    def total(self) -> int:
        """All connections, with one master more than `masters.count`: a refresh starts a new one before it ends
        an old one."""
        return (self.masters + 1) * self.of_one_master + self.workers + _RESERVE

    def __str__(self) -> str:
        return (
            f"{counted(self.masters, 'master')} and one more during a replacement: "
            f"{(self.masters + 1) * self.of_one_master}, workers, old and new, while all of them are replaced: "
            f"{self.workers:,}, reserve: {_RESERVE}"
        )


def budget(masters: MasterSettings, worker_pools: WorkerPools, config: Config) -> ConnectionBudget:
    """The most connections that the cluster can hold open at a time; `database.max_connections` has to allow them.

    Each master, and one more while a refresh replaces them, runs four services with SQLAlchemy's pool: 5 and 10 in
    overflow, or the values of sql_alchemy_pool_size and sql_alchemy_max_overflow. Each api-server process also has an
    async engine with a pool of 15; the scheduler reads Celery's results as well, and two services of the program take a
    connection each. Each worker, at the pool's maximum size, holds one for every task slot and one for its main
    process, and so does the worker that it replaces, until that one's tasks are done. A reserve is for migrations,
    people, monitoring, and what PostgreSQL and RDS keep for administrators.
    """
    pool = _option(config, "database", "sql_alchemy_pool_size", _POOL_SIZE)
    pool += _option(config, "database", "sql_alchemy_max_overflow", _MAX_OVERFLOW)
    api_servers = _option(config, "api", "workers", 1)
    return ConnectionBudget(
        of_one_master=(
            api_servers * (pool + _ASYNC_ENGINE) + len(_OTHER_SERVICES) * pool + _RESULT_READERS + _OUR_SERVICES
        ),
        masters=masters.count,
        workers=GENERATIONS * sum(pool.max_size * (pool.task_slots + 1) for pool in worker_pools.values()),
    )


def connections_suffice(
    database: DatabaseSettings, masters: MasterSettings, worker_pools: WorkerPools, config: Config
) -> Iterator[Fault]:
    """The database class allows the connections of all masters and, while all pools are replaced, of twice `maxSize`
    workers.

    Beyond the limit, PostgreSQL refuses connections: a scheduler then exits, or a task's result is lost.
    """
    needed = budget(masters, worker_pools, config)
    if needed.total <= database.max_connections:
        return
    larger = database_classes.classes_holding(needed.total, like=database.instance_class)
    remedy = f"use {larger[0]}" if larger else "use a class with more memory, if there is one"
    yield Fault(
        key="airflow:database.instanceClass",
        given=f"{shown(database.instance_class)}, which holds {database.max_connections:,} connections",
        allowed=f"a class for {needed.total:,} connections ({needed})",
        remedy=f"{remedy}; or lower maxSize or concurrency of the pools, or the number of masters",
    )


def _option(config: Config, section: str, option: str, default: int) -> int:
    number = as_whole_number(config.get(section, {}).get(option, default))
    if number is None or number < POOL_OPTIONS[section, option]:
        raise FaultyValue(f"{section}.{option}")
    return number


RULES = (storage_can_grow, protected_data_has_backups, connections_suffice)
