"""Puts together what the service sees. Each source may be silent for a while; none may hold the others up for long."""

from __future__ import annotations

from lifecycle import journal, pressure
from lifecycle.metadata_service import MetadataService, Outlook
from lifecycle.observation import Situation
from lifecycle.registry_client import Bulletin
from lifecycle.stopwatch import Pace
from lifecycle.worker_file import WorkerFile
from lifecycle.worker_tasks import WorkerTasks
from lifecycle.worker_unit import WorkerUnit

# EC2 recommends five seconds at most for spot notices:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
METADATA_SECONDS = 3.0


class Senses:
    """Looks at systemd, the worker, its tasks and the metadata service."""

    def __init__(
        self, *, unit: WorkerUnit, worker_file: WorkerFile, tasks: WorkerTasks, metadata: MetadataService
    ) -> None:
        self._unit = unit
        self._worker_file = worker_file
        self._tasks = tasks
        self._metadata = metadata
        self._outlook = Outlook()
        self._metadata_pace = Pace()
        self._problem: str | None = None

    def look(self, now: float, bulletin: Bulletin) -> Situation:
        """Everything, as it is now."""
        if self._metadata_pace.is_due(now):
            self._metadata_pace.rest(now, METADATA_SECONDS)
            self._ask_metadata()
        unit, stopping = self._unit.look()
        return Situation(
            now=now,
            unit=unit,
            system_stopping=stopping,
            worker=self._worker_file.read(now),
            running=self._tasks.running(unit),
            terminating=self._outlook.terminating,
            spot_end=self._outlook.spot_end,
            retired=bulletin.retired,
            group=bulletin.group,
            queued=bulletin.queued,
            outlier=bulletin.outlier,
            resources=pressure.look(),
        )

    def _ask_metadata(self) -> None:
        """The last answer stands until there is another: what has been announced is not taken back."""
        try:
            outlook = self._metadata.outlook()
        except OSError as error:
            if self._problem is None:
                self._problem = str(error)
                journal.write("metadata-service-silent", why=self._problem)
            return
        if self._problem is not None:
            self._problem = None
            journal.write("metadata-service-answers")
        if outlook.rebalance and not self._outlook.rebalance:
            # A group that rebalances launches another node first and then ends this one through its hook, and a
            # recommendation may come hours early or for nothing: to stop working now would only take capacity away.
            journal.write(
                "rebalance-recommended", why="EC2 may take this spot instance back; it works on until it must"
            )
        self._outlook = outlook
