"""The scaling activities of a group, as DescribeScalingActivities lists them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

FINISHED = ("Successful", "Failed", "Cancelled")
KEPT = 1000


@dataclass(kw_only=True)
class Activity:
    """One scaling activity; times in seconds since the epoch.

    Attributes:
        instance: the id of the instance; empty for a launch that failed.
        details: the content of the response's `Details`.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Activity.html
    """

    description: str
    cause: str
    began: float
    instance: str = ""
    status: str = "InProgress"
    message: str = ""
    ended: float | None = None
    details: dict[str, object] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def finished(self) -> bool:
        return self.status in FINISHED

    def finish(self, now: float, status: str, message: str = "", details: Mapping[str, object] | None = None) -> None:
        """End the activity."""
        self.status, self.message, self.ended = status, message, now
        self.details |= details or {}


class ActivityLog:
    """The activities of one group."""

    def __init__(self) -> None:
        self._activities: list[Activity] = []

    def add(self, activity: Activity) -> Activity:
        """Add an activity; the oldest is dropped when there are more than KEPT."""
        self._activities = [*self._activities[-KEPT + 1 :], activity]
        return activity

    def of(self, instance: str) -> Activity | None:
        """The latest activity with this instance."""
        return next((one for one in reversed(self._activities) if one.instance == instance), None)

    def listing(self) -> Sequence[Activity]:
        """Those in progress, then the others, each newest first: the order that the API documents."""
        newest_first = self._activities[::-1]
        return sorted(newest_first, key=lambda one: one.finished)


def at(now: float) -> str:
    """The time with which a cause begins."""
    return f"At {datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}"
