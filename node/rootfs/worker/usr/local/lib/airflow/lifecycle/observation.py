"""What the lifecycle service observes in one pass. Times are seconds of the monotonic clock."""

from __future__ import annotations

import json
import time
import urllib.error
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_node import log, metadata_service
from airflow_node.resources import Resource, read_resources
from airflow_node.worker_registry import GroupSizes

from lifecycle.stopwatch import Throttle
from lifecycle.worker_service import RunningTasks, StateFile, Unit, WorkerReport, WorkerUnit

# EC2 recommends to check for spot notices every five seconds:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
NOTICES_SECONDS = 3.0
# The longest lifetime of a token: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
TOKEN_SECONDS = 21600
RENEW_TOKEN_SECONDS = TOKEN_SECONDS / 2
TIMEOUT_SECONDS = 1.0
TARGET_STATE = "autoscaling/target-lifecycle-state"
SPOT_NOTICE = "spot/instance-action"
REBALANCE = "events/recommendations/rebalance"
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
LONGEST_NOTICE_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class RegistrySnapshot:
    """What was read from the worker registry. A field is None if its entry is missing or cannot be read.

    Attributes:
        cordoned: whether the masters have cordoned this worker.
        group: the sizes of its group.
        queued: messages in its queues.
        outlier: why this worker, not its tasks, causes their immediate failures; None if it does not.
        problem: why the registry could not be read at all.
        faults: why single entries could not be read, by key.
    """

    cordoned: bool | None = None
    group: GroupSizes | None = None
    queued: int | None = None
    outlier: str | None = None
    problem: str | None = None
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One pass.

    Attributes:
        unit: None if systemd does not respond.
        system_stopping: whether the machine is shutting down.
        worker: the worker's report; None while it does not run, or is not ready.
        running: number of tasks whose processes exist, independent of the report; None if it is not known.
        terminating: whether Auto Scaling is ending this instance.
        spot_end: when EC2 interrupts this spot instance; None without a notice.
        cordoned: whether the masters have cordoned the worker; None if the registry cannot be read.
        group: the group's sizes; None if they are unknown.
        queued: messages in the worker's queues; None if the registry cannot be read.
        outlier: why the worker is at fault for tasks that fail at once on it; None if it is not.
        resources: free disk and memory; empty if they cannot be read.
    """

    now: float
    unit: Unit | None
    system_stopping: bool = False
    worker: WorkerReport | None = None
    running: int | None = 0
    terminating: bool = False
    spot_end: float | None = None
    cordoned: bool | None = False
    group: GroupSizes | None = None
    queued: int | None = 0
    outlier: str | None = None
    resources: tuple[Resource, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether the worker reports."""
        return self.worker is not None and self.worker.is_fresh

    @property
    def load(self) -> int | None:
        """Tasks that the worker runs or has reserved; None if it does not report."""
        return self.worker.load if self.worker is not None and self.worker.is_fresh else None

    @property
    def reason_to_end(self) -> str | None:
        """Why this node must end; None if it need not."""
        if self.terminating:
            return "Auto Scaling is terminating this instance"
        if self.spot_end is not None:
            return f"EC2 takes this spot instance back in {max(0.0, self.spot_end - self.now):.0f} s"
        if self.system_stopping:
            return "the machine is shutting down"
        return None


@dataclass(frozen=True, kw_only=True)
class Notices:
    """Attributes:
    terminating: whether Auto Scaling is ending this instance.
    spot_end: when EC2 interrupts this spot instance, in seconds of the monotonic clock; None without a notice.
    rebalance: whether EC2 recommends to rebalance, because the risk of an interruption has risen.
    """

    terminating: bool = False
    spot_end: float | None = None
    rebalance: bool = False


class TerminationNotices:
    """Reads the notices, with a token that serves many requests and with a short time-out: the metadata service is on
    the instance's own host."""

    def __init__(self) -> None:
        self._token = ""
        self._renew_at = float("-inf")
        self._notice = ""
        self._spot_end: float | None = None

    def read(self) -> Notices:
        """The present notices. OSError if the metadata service does not respond."""
        return Notices(
            # "Terminated" as soon as the termination has begun, whether or not a hook waits.
            terminating=self._get(TARGET_STATE) == "Terminated",
            spot_end=self._read_notice(self._get(SPOT_NOTICE)),
            rebalance=self._get(REBALANCE) is not None,
        )

    def _read_notice(self, notice: str | None) -> float | None:
        """The end, computed once for each notice, so that a later change of the wall clock does not move it."""
        if notice is None or notice == self._notice:
            return self._spot_end
        try:
            end = datetime.fromisoformat(json.loads(notice)["time"]).timestamp()
        except (ValueError, KeyError, TypeError):
            # A notice that cannot be parsed is still a notice: act as if no time were left.
            end = time.time()
        self._notice = notice
        # With a slow wall clock, more time would seem to be left than EC2 ever gives.
        self._spot_end = time.monotonic() + min(end - time.time(), LONGEST_NOTICE_SECONDS)
        return self._spot_end

    def _get(self, path: str) -> str | None:
        """The value; None if there is none."""
        if time.monotonic() >= self._renew_at:
            self._renew_token()
        try:
            headers = {"X-aws-ec2-metadata-token": self._token}
            return metadata_service.ask(f"meta-data/{path}", headers=headers, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return None
            if error.code == 401:
                self._renew_at = float("-inf")
            raise

    def _renew_token(self) -> None:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
        self._token = metadata_service.ask("api/token", method="PUT", headers=headers, timeout=TIMEOUT_SECONDS)
        self._renew_at = time.monotonic() + RENEW_TOKEN_SECONDS


class Observer:
    """Reads all sources once per pass. Each of them has a short time-out."""

    def __init__(
        self, *, unit: WorkerUnit, state_file: StateFile, tasks: RunningTasks, notices: TerminationNotices
    ) -> None:
        self._unit = unit
        self._state_file = state_file
        self._tasks = tasks
        self._termination_notices = notices
        self._notices = Notices()
        self._throttle = Throttle()
        self._problem: str | None = None

    def observe(self, now: float, registry: RegistrySnapshot) -> Observation:
        """Read everything but the registry, which is read less often."""
        if self._throttle.is_due(now):
            self._throttle.pause(now, NOTICES_SECONDS)
            self._read_notices()
        unit, stopping = self._unit.read()
        return Observation(
            now=now,
            unit=unit,
            system_stopping=stopping,
            worker=self._state_file.read(now),
            running=self._tasks.count(unit),
            terminating=self._notices.terminating,
            spot_end=self._notices.spot_end,
            cordoned=registry.cordoned,
            group=registry.group,
            queued=registry.queued,
            outlier=registry.outlier,
            resources=read_resources(),
        )

    def _read_notices(self) -> None:
        """Read the notices. After a failure the last ones stay valid, because a notice is never withdrawn."""
        try:
            notices = self._termination_notices.read()
        except OSError as error:
            if self._problem is None:
                self._problem = str(error)
                log.event("metadata-service-unreachable", why=self._problem)
            return
        if self._problem is not None:
            self._problem = None
            log.event("metadata-service-reachable")
        if notices.rebalance and not self._notices.rebalance:
            # A group with capacity rebalancing launches another node first, and then ends this one through its hook.
            # The recommendation may come hours early or without an interruption, so to stop now would only cost
            # capacity.
            log.event("rebalance-recommended", why="EC2 may take this spot instance back; it works until it must end")
        self._notices = notices
