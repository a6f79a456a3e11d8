"""`airflow:retention`: how long logs and the history of runs are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from settings.errors import Fault
from settings.section import Section
from settings.types import LogRetentionDays, Number, whole_number


class RetentionSettings(Section):
    """How long logs and the history of runs are kept."""

    task_logs_days: Annotated[Number, whole_number(1, 36_500, "days")] = 365
    """Days that task logs stay in their bucket, and so in the UI. S3 deletes them after that."""

    metadata_days: Annotated[Number, whole_number(0, 36_500, "days")] = 365
    """Days that runs, tasks, XComs and the audit log stay in the metadata database, and so in the UI; 0 keeps them for
    ever, other values must be at least 30. A master deletes older ones every night, without an archive:
    `docs/stored-data.md`. The last scheduled run of each DAG is kept. Changing it replaces the masters."""

    access_logs_days: Annotated[Number, whole_number(1, 36_500, "days")] = 90
    """Days that the load balancers' access logs stay in their bucket."""

    log_groups_days: LogRetentionDays = 90
    """Days that the database's and the broker's logs stay in CloudWatch Logs."""


SHORTEST_METADATA_DAYS = 30


def metadata_outlives_its_runs(retention: RetentionSettings) -> Iterator[Fault]:
    """`retention.metadataDays` is 0 or at least 30: rows are deleted by age, whether or not the run has ended."""
    days = retention.metadata_days
    if 0 < days < SHORTEST_METADATA_DAYS:
        yield Fault(
            key="airflow:retention.metadataDays",
            given=f"{days}",
            allowed=f"0, which keeps them for ever, or {SHORTEST_METADATA_DAYS} to 36,500 (days): rows are deleted "
            "by age, also those of tasks that still run or wait",
            remedy=f"write {SHORTEST_METADATA_DAYS} or more, and more days than your longest run takes",
        )


RULES = (metadata_outlives_its_runs,)
