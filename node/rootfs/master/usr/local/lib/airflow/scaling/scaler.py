"""One pool's decision: how many instances its group shall have, and which workers stop or start consuming."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from airflow_node.worker_registry import GroupSizes

from scaling import reason
from scaling.fleet import Fleet
from scaling.launch_backoff import LaunchBackoff
from scaling.need import RecentNeed
from scaling.pool import Pool, Worker


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What shall be, and why.

    Attributes:
        needed: workers for the tasks that are there or expected, within the group's limits.
        desired: the group's desired capacity; never less than it is. Equal means that there is nothing to ask.
        floor: desired capacity below which no worker may leave on its own account. Workers read it as their group's
            minimum: while tasks need workers, or instances are missing, the masters choose who goes, so that not all
            idle ones go at once.
        cordon: every worker that shall consume nothing now, those that already do not included.
        uncordon: cordoned workers that shall consume again.
        reason: one sentence for the log.
    """

    pool: str
    needed: int
    desired: int
    floor: int
    cordon: tuple[str, ...]
    uncordon: tuple[str, ...]
    reason: str


class PoolScaler:
    """Decides for one pool. Remembers only what was needed lately and which launches failed.

    So it can begin at any time, and two of them that see the same workers come to the same decisions: who is cordoned,
    the registry tells.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._need = RecentNeed(pool.idle_seconds)
        self._backoff = LaunchBackoff()

    def decide(
        self,
        now: float,
        *,
        group: GroupSizes,
        running: int,
        queued: int,
        expected: int,
        workers: Sequence[Worker],
        in_service: Collection[str],
        boot_seconds: float | None,
        launch_failure: str | None,
        only_raise: bool = False,
    ) -> Decision:
        """Decide from one look at the pool.

        Args:
            running: tasks that run, without those on draining or leaving workers.
            queued: tasks that wait for a worker.
            expected: tasks beyond those that the schedule lets expect before a new worker would be ready.
            workers: those that have reported lately; the rest of the group boots. A cordoned worker counts as cordoned
                before it has noticed.
            in_service: instances that Auto Scaling counts as work force. One that it is ending is not among them, nor
                one that has just begun to work.
            boot_seconds: what a boot takes, measured; None at first.
            launch_failure: why the group's last launch failed; None if it did not.
            only_raise: cordon and uncordon nobody, as somebody else chooses who works.
        """
        tasks = running + queued
        wanted = self._wanted(tasks, expected)
        needed = group.within(wanted)
        fleet = Fleet.seen(workers, in_service)
        # What cordoned workers still run needs no room on the others.
        consuming = group.within(
            self._wanted(max(0, tasks - sum(worker.active for worker in fleet.cordoned)), expected)
        )
        self._need.note(now, consuming)
        uncordon = _uncordoned(fleet.cordoned, consuming - len(fleet.working))
        surplus = _surplus(group, fleet, self._need.worth_keeping())
        cordoned = tuple(sorted((*({worker.instance for worker in fleet.cordoned} - set(uncordon)), *surplus)))
        if only_raise:
            uncordon = surplus = cordoned = ()
        target = group.within(wanted + fleet.held_places)
        desired, wait_seconds = self._desired(now, group, target, launch_failure)
        sentences = (
            reason.need(self._pool, group, running=running, queued=queued, expected=expected, wanted=wanted),
            reason.ending(fleet.held_places - len(fleet.unavailable)),
            reason.unavailable(fleet.unavailable),
            reason.launch(group, desired, target=target, failure=launch_failure, wait_seconds=wait_seconds),
            reason.moves(uncordon, surplus, self._pool.idle_seconds),
            reason.boots(desired - fleet.reporting, boot_seconds),
        )
        return Decision(
            pool=self._pool.name,
            needed=needed,
            desired=desired,
            floor=_floor(group, desired, needed=needed, staying=fleet.staying),
            cordon=cordoned,
            uncordon=uncordon,
            reason="; ".join(sentence for sentence in sentences if sentence),
        )

    def _wanted(self, tasks: int, expected: int) -> int:
        """Workers for the tasks that are there, and for those to come as far as the budget allows."""
        now = self._pool.workers_for(tasks)
        return now + min(self._pool.workers_for(tasks + expected) - now, self._pool.workers_ahead)

    def _desired(self, now: float, group: GroupSizes, target: int, launch_failure: str | None) -> tuple[int, float]:
        """The desired capacity, and the seconds until a group that cannot launch may be asked again.

        Instances that boot are in the group's desired capacity already, as are cordoned workers. So are those that end
        on their own account, or by a spot notice or a shutdown, until Auto Scaling ends them: hence the target.
        """
        wait_seconds = self._backoff.seconds_left(now, launch_failure)
        if target <= group.desired or wait_seconds > 0:
            return group.desired, wait_seconds
        if launch_failure:
            self._backoff.asked(now)
        return target, 0.0


def _floor(group: GroupSizes, desired: int, *, needed: int, staying: int) -> int:
    """See Decision. Auto Scaling compares its minimum with the desired capacity, however few instances there are.

    So it would let the last one go that works, while it cannot launch the others.
    """
    return group.minimum if needed <= group.minimum and staying >= desired else max(group.minimum, desired)


def _uncordoned(cordoned: Sequence[Worker], short: int) -> tuple[str, ...]:
    """Retired workers to take back, which is faster than a boot: those with the most free slots first."""
    by_room = sorted(cordoned, key=lambda worker: (worker.active, worker.instance))
    return tuple(worker.instance for worker in by_room[: max(0, short)])


def _surplus(group: GroupSizes, fleet: Fleet, keep: int | None) -> tuple[str, ...]:
    """Workers beyond those worth keeping: those with the fewest tasks, of the idle ones those that are it longest.

    Never more than the group has places for: who leaves takes a place along. While Auto Scaling replaces an instance,
    more workers report than there are places, and it ends the one too many itself. Nobody is surplus while somebody is
    uncordoned: what is worth keeping is never less than what is needed now.
    """
    if keep is None:
        return ()
    places = group.desired - len(fleet.cordoned) - len(fleet.ending)
    count = min(len(fleet.established), places) - keep
    by_work = sorted(fleet.established, key=lambda worker: (worker.active, -worker.idle_seconds, worker.instance))
    return tuple(worker.instance for worker in by_work[: max(0, count)])
