"""A pool's workers by what can be expected of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from airflow_node.worker_registry import WorkerState

from scaling.pool import Worker


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The workers of one look.

    Attributes:
        working: they take tasks.
        established: those of them that are in service. The others Auto Scaling is about to put there, or is ending
            already, and they tell too late to be counted on or chosen.
        cordoned: they can be taken back. The group counts them until they go.
        ending: they take no more tasks, no master can take them back, and the group still counts them: they leave on
            their own account, drain for a spot notice or a shutdown of which Auto Scaling knows nothing yet, are
            unavailable, do not consume, or are in a state of another release.
        staying: instances in service that do not have to end.
    """

    working: Sequence[Worker]
    established: Sequence[Worker]
    cordoned: Sequence[Worker]
    ending: Sequence[Worker]
    staying: int

    @classmethod
    def seen(cls, workers: Sequence[Worker], in_service: Collection[str]) -> Self:
        """Sort them. Auto Scaling has an instance that it is ending in its desired capacity no more, nor in service."""
        counted = [worker for worker in workers if worker.instance in in_service]
        return cls(
            working=[worker for worker in workers if worker.state == WorkerState.WORKING],
            established=[worker for worker in counted if worker.state == WorkerState.WORKING],
            cordoned=[worker for worker in workers if worker.state == WorkerState.CORDONED],
            ending=[worker for worker in counted if worker.takes_no_more],
            staying=len(in_service) - sum(one.takes_no_more and one.state != WorkerState.LEAVING for one in counted),
        )

    @property
    def held_places(self) -> int:
        """Places in the group that those hold who take no tasks any more, for as long as their last ones take.

        A worker without a task leaves the group or is back at work within seconds; an unavailable one takes minutes.
        """
        finishing = [one for one in self.ending if one.active > 0 and one.state != WorkerState.UNAVAILABLE]
        return len(finishing) + len(self.unavailable)

    @property
    def unavailable(self) -> Sequence[str]:
        """Instances on which tasks would fail."""
        return [worker.instance for worker in self.ending if worker.state == WorkerState.UNAVAILABLE]

    @property
    def reporting(self) -> int:
        """Workers of the group that have booted."""
        return len(self.working) + len(self.cordoned) + len(self.ending)
