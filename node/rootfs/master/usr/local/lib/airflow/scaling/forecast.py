"""Tasks expected from the schedule: those of DAG runs that are due before a worker launched now would be ready."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from scaling.pool import Pool

# Boots are measured from power-on. EC2 needs some seconds before that, and a pass takes place every ten seconds.
LEAD_MARGIN_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class DueRun:
    """A DAG run that the scheduler will create.

    Attributes:
        starts_in_seconds: negative for a run that is late.
        peak: tasks by queue that the DAG's last runs had at a time.
    """

    dag_id: str
    starts_in_seconds: float
    peak: Mapping[str, int] = field(default_factory=dict)


def lead_seconds(pool: Pool, boot_seconds: float | None) -> float:
    """How long before a run's start its workers have to be requested. `boot_seconds`: None before the first boot."""
    return (pool.boot_lead_seconds if boot_seconds is None else boot_seconds) + LEAD_MARGIN_SECONDS


def peak_concurrency(intervals: Iterable[tuple[float, float]]) -> int:
    """The largest number of intervals (begin, end) that overlap.

    One that ends as another begins does not overlap it.
    """
    edges = sorted(edge for begin, end in intervals if end > begin for edge in ((begin, 1), (end, -1)))
    highest = current = 0
    for _, change in edges:
        current += change
        highest = max(highest, current)
    return highest


def expected_tasks(runs: Iterable[DueRun], queues: Collection[str], lead_seconds: float) -> int:
    """Tasks that these queues will receive within the lead, by the runs' peaks. Late runs count, too."""
    return sum(
        tasks
        for run in runs
        if run.starts_in_seconds <= lead_seconds
        for queue, tasks in run.peak.items()
        if queue in queues
    )
