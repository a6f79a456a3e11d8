"""The decision for one pool: the desired capacity of its group, and which workers are cordoned or uncordoned."""

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
    """The decision of one pass.

    Attributes:
        needed: workers for the running, queued and expected tasks, within the group's limits.
        desired: the group's new desired capacity; never less than the present one.
        floor: desired capacity below which no worker may scale in on its own. Workers read it as their group's minimum:
            while tasks need workers, or instances are missing, the masters choose the workers that leave, so that not
            all idle ones leave at once.
        cordon: every worker that must not consume now, including those that are cordoned already.
        uncordon: cordoned workers that must consume again.
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
    """Decides for one pool. Remembers only the need of the last minutes and the backoff after failed launches.

    Which workers are cordoned is read from the registry. So a scaler can start at any time, and two of them that see
    the same workers make the same decisions.
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
        """Decide from one observation of the pool.

        Args:
            running: running tasks, without those on workers that take no more.
            queued: tasks that wait for a worker.
            expected: further tasks, expected from the schedule before a new worker would be ready.
            workers: those that have reported within half a minute; the rest of the group boots. A worker counts as
                cordoned before it has read its cordon.
            in_service: instances that Auto Scaling counts as in service. An instance that it is ending is not among
                them, nor one that has just started to work.
            boot_seconds: the measured length of a boot; None before the first.
            launch_failure: why the group's last launch failed; None if it did not.
            only_raise: do not cordon or uncordon, because other masters do.
        """
        tasks = running + queued
        wanted = self._wanted(tasks, expected)
        needed = group.within(wanted)
        fleet = Fleet.seen(workers, in_service)
        # The tasks that cordoned workers still run need no slots on the others.
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
        """Workers for the present tasks, and for expected ones as far as `workers_ahead` allows."""
        now = self._pool.workers_for(tasks)
        return now + min(self._pool.workers_for(tasks + expected) - now, self._pool.workers_ahead)

    def _desired(self, now: float, group: GroupSizes, target: int, launch_failure: str | None) -> tuple[int, float]:
        """The desired capacity, and the seconds until a group whose launches fail may be raised again.

        The present desired capacity includes instances that boot, cordoned workers, and those that scale in on their
        own or end after a spot notice or a shutdown, until Auto Scaling ends them. So the target includes them too.
        """
        wait_seconds = self._backoff.seconds_left(now, launch_failure)
        if target <= group.desired or wait_seconds > 0:
            return group.desired, wait_seconds
        if launch_failure:
            self._backoff.asked(now)
        return target, 0.0


def _floor(group: GroupSizes, desired: int, *, needed: int, staying: int) -> int:
    """The floor of a decision. Auto Scaling compares its minimum with the desired capacity, not with the instances.

    So while launches fail, it would accept that the last working instance leaves.
    """
    return group.minimum if needed <= group.minimum and staying >= desired else max(group.minimum, desired)


def _uncordoned(cordoned: Sequence[Worker], short: int) -> tuple[str, ...]:
    """Cordoned workers to uncordon, which is faster than a boot: those with the most free slots first."""
    by_room = sorted(cordoned, key=lambda worker: (worker.active, worker.instance))
    return tuple(worker.instance for worker in by_room[: max(0, short)])


def _surplus(group: GroupSizes, fleet: Fleet, keep: int | None) -> tuple[str, ...]:
    """Workers beyond those to keep: those with the fewest tasks first; of idle workers, those that are idle longest.

    A worker that leaves lowers the desired capacity. So workers beyond it do not count: while Auto Scaling replaces an
    instance, more workers report than the group has places, and it ends the old one itself. No worker is surplus in a
    pass that uncordons others, because at least as many are kept as are needed now.
    """
    if keep is None:
        return ()
    places = group.desired - len(fleet.cordoned) - len(fleet.ending)
    count = min(len(fleet.established), places) - keep
    by_work = sorted(fleet.established, key=lambda worker: (worker.active, -worker.idle_seconds, worker.instance))
    return tuple(worker.instance for worker in by_work[: max(0, count)])
