"""A pool's workers by whether the scaler can count on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from airflow_node.worker_registry import WorkerState

from scaling.pool import Worker


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The workers in one pass.

    Attributes:
        working: workers that take tasks.
        established: those of them that are in service. Auto Scaling is about to put the others into service, or is
            ending them already; their reports are too late to rely on.
        cordoned: workers that can be uncordoned. The group counts them until they leave.
        ending: workers that take no more tasks, that no master can uncordon, and that the group still counts: they
            scale in on their own, drain for a spot notice or a shutdown of which Auto Scaling does not know yet, are
            unavailable, do not consume, or are in a state of another release.
        staying: instances in service that need not end.
    """

    working: Sequence[Worker]
    established: Sequence[Worker]
    cordoned: Sequence[Worker]
    ending: Sequence[Worker]
    staying: int

    @classmethod
    def seen(cls, workers: Sequence[Worker], in_service: Collection[str]) -> Self:
        """Classify the workers. Instances that Auto Scaling is ending are not in service."""
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
        """Places in the group that are taken by workers which take no more tasks and finish their last ones.

        A worker without a task leaves the group or takes tasks again within seconds; an unavailable one takes minutes.
        """
        finishing = [one for one in self.ending if one.active > 0 and one.state != WorkerState.UNAVAILABLE]
        return len(finishing) + len(self.unavailable)

    @property
    def unavailable(self) -> Sequence[str]:
        """The ids of instances on which tasks would fail."""
        return [worker.instance for worker in self.ending if worker.state == WorkerState.UNAVAILABLE]

    @property
    def reporting(self) -> int:
        """Workers of the group that have booted."""
        return len(self.working) + len(self.cordoned) + len(self.ending)
