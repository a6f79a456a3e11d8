"""The worker's side of the board: it says how it is and reads what the masters want of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_node import log
from airflow_node.worker_registry import GroupSizes, Report, WorkerRegistry
from redis import RedisError

from lifecycle import outlier
from lifecycle.action import DONE, Outcome, Result
from lifecycle.observation import Situation
from lifecycle.stopwatch import Pace

# Reading a pool of 200 workers takes the broker some milliseconds.
NEIGHBOURS_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Bulletin:
    """What the board says; None for what it does not, or what cannot be read.

    Attributes:
        outlier: why this worker is at fault for tasks that fail at once on it; None if it is not.
        problem: why nothing could be read.
        faults: single entries that could not be read: what is wrong, by key.
    """

    retired: bool | None = None
    group: GroupSizes | None = None
    queued: int | None = None
    outlier: str | None = None
    problem: str | None = None
    faults: Mapping[str, str] = field(default_factory=dict)


class BoardVisit:
    """One worker's visits. None of them raises."""

    def __init__(self, board: WorkerRegistry, *, instance: str, pool: str, slots: int, queues: Sequence[str]) -> None:
        self._board = board
        self._instance = instance
        self._pool = pool
        self._slots = slots
        self._queues = tuple(queues)
        self._neighbours = Pace()

    def visit(self, *, state: str, seen: Situation | None, idle_seconds: float) -> Bulletin:
        """Say how the worker is, and read the rest."""
        load = None
        if seen is not None:
            # Tasks keep running while the worker writes no state.
            load = seen.running if seen.load is None else seen.load
        worker = seen.worker if seen is not None else None
        report = Report(
            instance=self._instance,
            pool=self._pool,
            state=state,
            slots=self._slots,
            active=load or 0,
            idle_seconds=round(idle_seconds, 1),
            failed_at_once=worker.failed_at_once if worker else 0,
            others=worker.others if worker else 0,
        )
        try:
            self._board.report(report)
            return Bulletin(
                retired=self._board.is_cordoned(self._pool, self._instance),
                group=self._board.group(self._pool),
                queued=sum(self._board.queue_length(queue) for queue in self._queues),
                outlier=self._outlier(report, seen.now) if seen is not None else None,
                faults=self._board.faults(),
            )
        except RedisError as error:
            return Bulletin(problem=log.one_line(error))

    def note_boot(self, seconds: float) -> Result:
        """Note how long this worker took from power-on to its first readiness, without what held it back."""
        try:
            self._board.note_boot(self._pool, seconds)
        except RedisError as error:
            return Result(Outcome.FAILED, log.one_line(error))
        return Result(DONE.outcome, f"{seconds:.1f} s from power-on to ready")

    def _outlier(self, own: Report, now: float) -> str | None:
        """Why this worker and not its tasks is at fault for their failures.

        Reads the neighbours' reports only when this may be so, and not often: when a DAG fails everywhere, every worker
        of a large pool would read those of all others.
        """
        if not outlier.is_suspect(own) or not self._neighbours.is_due(now):
            return None
        self._neighbours.rest(now, NEIGHBOURS_SECONDS)
        neighbours = [report for report in self._board.some_reports(self._pool) if report.instance != self._instance]
        why = outlier.reason(own, neighbours)
        return why if why is not None and self._board.eject(self._pool, self._instance) else None
