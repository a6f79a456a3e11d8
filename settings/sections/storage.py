"""What the database's storage, its backups and the retention of its rows have to agree on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aws_catalog import limits
from settings.errors import Fault

if TYPE_CHECKING:
    from settings.stack import Settings

SHORTEST_METADATA_DAYS = 30


def storage_can_grow(settings: Settings) -> Iterator[Fault]:
    """`maxAllocatedStorageGib` is at least ten percent above `allocatedStorageGib`."""
    database = settings.database
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html; in whole numbers, for 1.1 is
    # not a number a computer has.
    least = math.ceil(database.allocated_storage_gib * 11 / 10)
    if database.max_allocated_storage_gib < least:
        yield Fault(
            key="airflow:database.maxAllocatedStorageGib",
            given=f"{database.max_allocated_storage_gib}, with allocatedStorageGib {database.allocated_storage_gib}",
            allowed=f"{least:,} to {limits.DATABASE_STORAGE_GIB[1]:,} (GiB): RDS requires room to grow by ten percent",
            remedy=f"raise it to {least:,} or more; only what is allocated is billed",
        )


def protected_data_has_backups(settings: Settings) -> Iterator[Fault]:
    """With `cluster.protectData`, `database.backupRetentionDays` is 1 or more."""
    if settings.cluster.protect_data and settings.database.backup_retention_days == 0:
        yield Fault(
            key="airflow:database.backupRetentionDays",
            given="0, with airflow:cluster.protectData true",
            allowed=f"1 to {limits.DATABASE_BACKUP_RETENTION_DAYS[1]} (days) while data is protected",
            remedy="keep backups for at least one day, or set protectData to false",
        )


def metadata_outlives_its_runs(settings: Settings) -> Iterator[Fault]:
    """`retention.metadataDays` is 0 or at least 30: rows are deleted by age, whether or not the run has ended."""
    days = settings.retention.metadata_days
    if 0 < days < SHORTEST_METADATA_DAYS:
        yield Fault(
            key="airflow:retention.metadataDays",
            given=f"{days}",
            allowed=f"0, which keeps them for ever, or {SHORTEST_METADATA_DAYS} to 36,500 (days): rows are deleted "
            "by age, also those of tasks that still run or wait",
            remedy=f"write {SHORTEST_METADATA_DAYS} or more, and more days than your longest run takes",
        )
