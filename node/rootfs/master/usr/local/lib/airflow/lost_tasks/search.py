"""Which queued tasks have lost their message. Pure: no clock, no database, no broker."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

# A task counts as lost after its message has been missing, or taken without a running task, for this long without a
# break. A missing message may have been taken right before the broker was emptied, by a worker that is about to report
# its task as running. A worker that has taken a message may wait for the API; it retries for five minutes
# (`[workers] execution_api_retries`).
GONE_SECONDS = 45.0
TAKEN_SECONDS = 360.0


@dataclass(frozen=True, kw_only=True)
class QueuedTask:
    """A task that Airflow has queued. `message` is the id of its Celery message, new each time that it is queued."""

    message: str
    queue: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Messages:
    """What the broker holds: the ids of the messages that wait for a worker, and of those that one has taken.

    `unread`: queues whose messages are not known, because they cannot be read or are too long. `taken` is None if that
    list cannot be read.
    """

    waiting: Collection[str]
    taken: Collection[str] | None
    unread: Collection[str] = ()


class Whereabouts(Enum):
    """Where the message of a queued task is."""

    WAITING = "waiting"
    TAKEN = "was taken by a worker that never started it"
    GONE = "is gone from the broker"
    UNKNOWN = "does not wait for a worker any more"


@dataclass(frozen=True, kw_only=True)
class LostTask:
    """A task that no worker is going to start, and where its message is."""

    task: QueuedTask
    whereabouts: Whereabouts


class LostTasks:
    """Remembers since when each queued task has had no waiting message."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[Whereabouts, float]] = {}

    def find(self, now: float, queued: Sequence[QueuedTask], messages: Messages) -> list[LostTask]:
        """The queued tasks that no worker is going to start. `now`: seconds of a monotonic clock."""
        queued = [task for task in queued if task.queue not in messages.unread]
        places = {task.message: _place(task, messages) for task in queued}
        self._since = {
            message: self._since[message] if self._since.get(message, (None, 0.0))[0] is place else (place, now)
            for message, place in places.items()
            if place is not Whereabouts.WAITING
        }
        return [
            LostTask(task=task, whereabouts=place)
            for task in queued
            if (place := places[task.message]) is not Whereabouts.WAITING
            and now - self._since[task.message][1] >= _limit_seconds(place)
        ]

    def forget(self) -> None:
        """Start again from nothing, after a time in which the tasks or the messages could not be read."""
        self._since.clear()


def _place(task: QueuedTask, messages: Messages) -> Whereabouts:
    if task.message in messages.waiting:
        return Whereabouts.WAITING
    if messages.taken is None:
        return Whereabouts.UNKNOWN
    return Whereabouts.TAKEN if task.message in messages.taken else Whereabouts.GONE


def _limit_seconds(place: Whereabouts) -> float:
    return GONE_SECONDS if place is Whereabouts.GONE else TAKEN_SECONDS
