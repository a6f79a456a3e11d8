"""The worker's side of the board: it says how it is and reads what the masters want of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import boot_step
from redis import RedisError
from scaling.pool import Group
from worker_board import Report, WorkerBoard

from lifecycle.action import DONE, Outcome, Result
from lifecycle.situation import Situation


@dataclass(frozen=True, kw_only=True)
class Bulletin:
    """What the board says; None for what it does not, or what cannot be read.

    Attributes:
        problem: why nothing could be read.
    """

    retired: bool | None = None
    group: Group | None = None
    queued: int | None = None
    problem: str | None = None


class BoardVisit:
    """One worker's visits. None of them raises."""

    def __init__(self, board: WorkerBoard, *, instance: str, pool: str, slots: int, queues: Sequence[str]) -> None:
        self._board = board
        self._instance = instance
        self._pool = pool
        self._slots = slots
        self._queues = tuple(queues)

    def visit(self, *, state: str, seen: Situation | None, idle_seconds: float) -> Bulletin:
        """Say how the worker is, and read the rest."""
        load = None
        if seen is not None:
            # Tasks go on while a worker says nothing.
            load = seen.running if seen.load is None else seen.load
        report = Report(
            instance=self._instance,
            pool=self._pool,
            state=state,
            slots=self._slots,
            active=load or 0,
            idle_seconds=round(idle_seconds, 1),
        )
        try:
            self._board.report(report)
            return Bulletin(
                retired=self._board.is_retired(self._pool, self._instance),
                group=self._group(),
                queued=sum(self._board.queue_length(queue) for queue in self._queues),
            )
        except RedisError as error:
            return Bulletin(problem=boot_step.one_line(error))

    def note_boot(self, seconds: float) -> Result:
        """Note how long this worker took from power-on to its first readiness."""
        try:
            self._board.note_boot(self._pool, seconds)
        except RedisError as error:
            return Result(Outcome.FAILED, boot_step.one_line(error))
        return Result(DONE.outcome, f"{seconds:.1f} s from power-on to ready")

    def _group(self) -> Group | None:
        try:
            return self._board.group(self._pool)
        except (ValueError, TypeError):
            # Whoever may publish a task can write to the broker. Nonsense is no news.
            return None
