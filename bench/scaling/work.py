"""What a simulated cluster has to do. Times are seconds since the trace's beginning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Run:
    """A DAG run. The tasks of a stage become ready together, once those of the stage before have all succeeded.

    Attributes:
        at: when it is due.
        stages: durations of the tasks, in seconds.
        scheduled: whether the schedule tells it; else somebody triggers it.
    """

    dag_id: str
    at: float
    stages: tuple[tuple[float, ...], ...]
    scheduled: bool


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Everything that happens to one pool.

    Attributes:
        kind: "schedule", "ad hoc" or "steady": which goals hold.
        seconds: its length.
        warm_up_seconds: its first part, that is played and not measured.
        concurrency: tasks that a worker runs at a time.
        maximum: workers that the pool may have.
        window: the part that its plot shows.
    """

    name: str
    kind: str
    seconds: float
    warm_up_seconds: float
    concurrency: int
    maximum: int
    window: tuple[float, float]
    runs: tuple[Run, ...]
