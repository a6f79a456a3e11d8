"""What the database's storage and backups have to agree on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aws_facts import limits
from setting_rules.faults import Fault

if TYPE_CHECKING:
    from settings import Settings


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
