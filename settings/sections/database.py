"""The sum of the database connections a cluster may hold open at a time, and whether the database has as many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_catalog import database_classes
from settings.draining import GENERATIONS
from settings.errors import Fault, FaultyValue, counted, shown
from settings.sections.airflow_config.values import POOL_OPTIONS, whole_number

if TYPE_CHECKING:
    from settings.stack import Settings

# Airflow's defaults: https://airflow.apache.org/docs/apache-airflow/stable/configurations-ref.html#database
_POOL_SIZE = 5
_MAX_OVERFLOW = 10
# Only the api-server's routes use the async engine; it takes SQLAlchemy's own defaults (5 and 10), whatever Airflow's
# options say.
_ASYNC_ENGINE = 15
_OTHER_SERVICES = ("scheduler", "dag-processor", "triggerer")
# The scheduler asks Celery's result backend from up to this many processes ([celery] sync_parallelism, cores - 1).
_RESULT_READERS = 8
# The service that scales the pools, and the one that looks for lost tasks.
_OUR_SERVICES = 2
# Superuser and rds_superuser slots (5), RDS's monitoring, a migration, `airflow` commands and people at psql.
_RESERVE = 25


@dataclass(frozen=True, kw_only=True)
class ConnectionBudget:
    """Who holds how many connections when everybody is busy."""

    of_one_master: int
    masters: int
    workers: int

    @property
    def total(self) -> int:
        """All of them, with one master more than the stack file says: a refresh starts a new one before an old one
        goes."""
        return (self.masters + 1) * self.of_one_master + self.workers + _RESERVE

    def __str__(self) -> str:
        return (
            f"{counted(self.masters, 'master')} and one more during a replacement: "
            f"{(self.masters + 1) * self.of_one_master}, workers, old and new, while all of them are replaced: "
            f"{self.workers:,}, reserve: {_RESERVE}"
        )


def budget(settings: Settings) -> ConnectionBudget:
    """The most connections that the cluster can hold open at a time; they have to fit `database.max_connections`.

    Each master, and one more while a refresh replaces them, runs four services with SQLAlchemy's pool: 5 and 10 in
    overflow, or what the options sql_alchemy_pool_size and sql_alchemy_max_overflow say. Each api-server process has an
    async engine's pool of 15 beside it; the scheduler reads Celery's results as well, and two services of our own take
    a connection each. Each worker, at the pool's maximal size, holds one for every task slot and one for its main
    process, and so does the worker whose place it has taken, until its tasks are done. A reserve is for migrations,
    people, monitoring, and what PostgreSQL and RDS keep for administrators.
    """
    pool = _option(settings, "database", "sql_alchemy_pool_size", _POOL_SIZE)
    pool += _option(settings, "database", "sql_alchemy_max_overflow", _MAX_OVERFLOW)
    api_servers = _option(settings, "api", "workers", 1)
    return ConnectionBudget(
        of_one_master=(
            api_servers * (pool + _ASYNC_ENGINE) + len(_OTHER_SERVICES) * pool + _RESULT_READERS + _OUR_SERVICES
        ),
        masters=settings.masters.count,
        workers=GENERATIONS * sum(pool.max_size * (pool.task_slots + 1) for pool in settings.worker_pools.values()),
    )


def connections_suffice(settings: Settings) -> Iterator[Fault]:
    """The database class allows the connections of all masters and, while all pools are replaced, of twice `maxSize`
    workers.

    Past the limit PostgreSQL refuses whoever comes next: a scheduler, which then exits, or a task's result.
    """
    database, needed = settings.database, budget(settings)
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


def _option(settings: Settings, section: str, option: str, default: int) -> int:
    number = whole_number(settings.config.get(section, {}).get(option, default))
    if number is None or number < POOL_OPTIONS[section, option]:
        raise FaultyValue(f"{section}.{option}")
    return number
