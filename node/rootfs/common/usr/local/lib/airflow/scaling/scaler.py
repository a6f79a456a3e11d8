"""One pool's decision: how many instances its group shall have, and which workers stop or start consuming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scaling.launch_patience import LaunchPatience
from scaling.need import RecentNeed
from scaling.pool import RETIRED, WORKING, Group, Pool, Worker

# Workers that are surplus for a shorter time go on consuming: the next tasks may need them.
SURPLUS_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What shall be, and why.

    Attributes:
        needed: workers that the tasks fill, those on their way included, within the group's limits.
        desired: the group's desired capacity; never less than it is. Equal means that there is nothing to ask.
        floor: desired capacity below which no worker may leave on its own account. Workers read it as their group's
            minimum.
        retire: every worker that shall consume nothing now, those that already do not included.
        recall: retired workers that shall consume again.
        reason: one sentence for the log.
    """

    pool: str
    needed: int
    desired: int
    floor: int
    retire: tuple[str, ...]
    recall: tuple[str, ...]
    reason: str


class PoolScaler:
    """Decides for one pool. Remembers only what was needed lately and which launches failed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._need = RecentNeed()
        self._patience = LaunchPatience()

    def decide(
        self,
        now: float,
        *,
        group: Group,
        running: int,
        queued: int,
        expected: int,
        workers: Sequence[Worker],
        boot_seconds: float | None,
        launch_failure: str | None,
    ) -> Decision:
        """Decide from one look at the pool.

        Args:
            running: tasks that run, without those on draining or leaving workers.
            queued: tasks that wait for a worker.
            expected: tasks beyond those that the schedule lets expect before a new worker would be ready.
            workers: those that have reported lately; the rest of the group boots.
            boot_seconds: what a boot takes, measured; None at first.
            launch_failure: why the group's last launch failed; None if it did not.
        """
        needed = group.within(self._wanted(running + queued, expected))
        self._need.note(now, needed)
        recall = self._recalled(running + queued, expected, group, workers)
        staying = [worker.instance for worker in workers if worker.state == RETIRED and worker.instance not in recall]
        surplus = () if recall else self._surplus(boot_seconds, workers)
        desired, wait = self._desired(now, group, needed, launch_failure)
        return Decision(
            pool=self._pool.name,
            needed=needed,
            desired=desired,
            floor=group.minimum if needed <= group.minimum else max(group.minimum, desired),
            retire=tuple(sorted((*staying, *surplus))),
            recall=recall,
            reason=f"{needed} workers needed for {running} running, {queued} queued and {expected} expected tasks"
            + (f"; cannot launch, next try in {wait:.0f} s: {launch_failure}" if launch_failure else ""),
        )

    def _wanted(self, tasks: int, expected: int) -> int:
        now = self._pool.workers_for(tasks)
        return now + min(self._pool.workers_for(tasks + expected) - now, self._pool.workers_ahead)

    def _recalled(self, tasks: int, expected: int, group: Group, workers: Sequence[Worker]) -> tuple[str, ...]:
        """Retired workers to take back: they are faster than a boot. Those with the most free slots come first."""
        retired = sorted((w for w in workers if w.state == RETIRED), key=lambda w: (w.active, w.instance))
        others_tasks = max(0, tasks - sum(worker.active for worker in retired))
        short = group.within(self._wanted(others_tasks, expected)) - sum(w.state == WORKING for w in workers)
        return tuple(worker.instance for worker in retired[: max(0, short)])

    def _surplus(self, boot_seconds: float | None, workers: Sequence[Worker]) -> tuple[str, ...]:
        """Working ones that nobody has needed for a while, those with the fewest tasks first."""
        boot = self._pool.boot_lead_seconds if boot_seconds is None else boot_seconds
        highest = self._need.highest(max(SURPLUS_SECONDS, min(boot, self._pool.idle_seconds)))
        working = [worker for worker in workers if worker.state == WORKING]
        if highest is None or len(working) <= highest:
            return ()
        working.sort(key=lambda worker: (worker.active, -worker.idle_seconds, worker.instance))
        return tuple(worker.instance for worker in working[: len(working) - highest])

    def _desired(self, now: float, group: Group, needed: int, launch_failure: str | None) -> tuple[int, float]:
        """The desired capacity, and the seconds until a group that cannot launch is asked again."""
        wait = self._patience.seconds_left(now, launch_failure)
        if needed <= group.desired or wait > 0:
            return group.desired, wait
        if launch_failure:
            self._patience.asked(now)
        return needed, wait
