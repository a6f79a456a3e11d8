"""The sum of the database connections a cluster may hold open at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from settings import Settings

# Airflow's defaults: https://airflow.apache.org/docs/apache-airflow/stable/configurations-ref.html#database
_POOL_SIZE = 5
_MAX_OVERFLOW = 10
# The async engine takes SQLAlchemy's own defaults (5 and 10), whatever Airflow's options say.
_ASYNC_ENGINE = 15
_SERVICES = ("api-server", "scheduler", "dag-processor", "triggerer")
# The scheduler asks Celery's result backend from up to this many processes ([celery] sync_parallelism, cores - 1).
_RESULT_READERS = 8
# Superuser and rds_superuser slots (5), RDS's monitoring, a migration, `airflow` commands and people at psql.
_RESERVE = 25


@dataclass(frozen=True, kw_only=True)
class ConnectionBudget:
    """Who holds how many connections when everybody is busy."""

    masters: int
    workers: int
    reserve: int

    @property
    def total(self) -> int:
        """All of them together."""
        return self.masters + self.workers + self.reserve

    def __str__(self) -> str:
        return f"{self.total} = masters {self.masters} + workers {self.workers} + reserve {self.reserve}"


def budget(settings: Settings) -> ConnectionBudget:
    """The budget at the pools' maximal sizes. Options that size the pools are honoured."""

    def option(section: str, name: str, default: int) -> int:
        return int(settings.config.get(section, {}).get(name, default))

    pool = option("database", "sql_alchemy_pool_size", _POOL_SIZE) + option(
        "database", "sql_alchemy_max_overflow", _MAX_OVERFLOW
    )
    processes = len(_SERVICES) - 1 + option("api", "workers", 1)
    of_one_master = processes * (pool + _ASYNC_ENGINE) + _RESULT_READERS
    workers = sum(pool.max_size * (pool.concurrency + 1) for pool in settings.worker_pools.values())
    return ConnectionBudget(masters=settings.masters.count * of_one_master, workers=workers, reserve=_RESERVE)
