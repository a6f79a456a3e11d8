"""The drain of a worker: it finishes its tasks, then Auto Scaling ends the node. Pure."""

from __future__ import annotations

from lifecycle.actions import Action, Kind, Outcome, Result
from lifecycle.observation import Observation
from lifecycle.stopwatch import Stopwatch, Throttle

STOP_AGAIN_SECONDS = 10.0
END_AGAIN_SECONDS = 10.0
# Tasks that are ended this long before EC2 interrupts a spot instance can still report: then Airflow retries them at
# once instead of after missed heartbeats. EC2's notice comes 120 s ahead.
SPOT_RESERVE_SECONDS = 30.0
# After a request to shut down, EC2 waits a few minutes for the machine, whether or not tasks run. This limit applies to
# an instance that is terminated directly, not through its group. A reboot cannot be distinguished from that.
SHUTDOWN_SECONDS = 60.0
HEARTBEAT_RETRY_SECONDS = 15.0
# Usually the first request after the worker has stopped succeeds; the others are for a throttled API.
SHORTEST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 5.0, 60.0
# A drained node does no work and costs money, and nothing is lost when it is turned off.
POWER_OFF_SECONDS = 900.0


class Stop:
    """The stop of a worker: it takes no new tasks and finishes the others. Tasks that exceed the limit are ended.

    systemd counts the drain limit from the first stop, and kills what is left shortly after it. So a second stop of the
    same worker counts from the first one, too.
    """

    def __init__(self, limit_seconds: float, since: float) -> None:
        """`since`: the time of the worker's first stop."""
        self.since = since
        self._limit_seconds = limit_seconds
        self._stop, self._end = Throttle(), Throttle()
        self._shutdown = Stopwatch()

    def stop_worker(self, seen: Observation, reason: str) -> list[Action]:
        """Stop the worker's unit; again after some seconds, if it still runs."""
        if seen.unit is None or not seen.unit.is_up or not self._stop.is_due(seen.now):
            return []
        self._stop.pause(seen.now, STOP_AGAIN_SECONDS)
        return [Action(Kind.STOP_WORKER, reason)]

    def end_tasks(self, seen: Observation) -> list[Action]:
        """End the tasks that still run, if they have reached a limit."""
        reason = self._reason_to_end_tasks(seen)
        if reason is None or seen.running == 0 or not self._end.is_due(seen.now):
            return []
        self._end.pause(seen.now, END_AGAIN_SECONDS)
        return [Action(Kind.END_TASKS, reason)]

    def _reason_to_end_tasks(self, seen: Observation) -> str | None:
        shutdown = self._shutdown.seconds(seen.system_stopping, seen.now)
        if seen.spot_end is not None and seen.now >= seen.spot_end - SPOT_RESERVE_SECONDS:
            return f"EC2 takes this spot instance back in {max(0.0, seen.spot_end - seen.now):.0f} s"
        if shutdown >= SHUTDOWN_SECONDS:
            return f"the machine has been shutting down for {shutdown:.0f} s"
        if seen.now >= self.since + self._limit_seconds:
            return f"the drain limit of {self._limit_seconds:.0f} s is over"
        return None


class Drain:
    """The drain of a node that must end, from its first sign to the completed lifecycle action.

    Attributes:
        is_over: whether the lifecycle action is completed.
    """

    def __init__(self, *, limit_seconds: float, heartbeat_seconds: float, began: float) -> None:
        """`began`: the time of the worker's first stop, also if that was for a scale-in.

        `heartbeat_seconds`: how long the terminating hook waits without a heartbeat.
        """
        self.is_over = False
        self._heartbeat_seconds = heartbeat_seconds / 3
        self._stop = Stop(limit_seconds, began)
        self._heartbeat, self._end_node = Throttle(), Throttle()
        self._backoff_seconds = SHORTEST_BACKOFF_SECONDS
        self._next_request = Kind.COMPLETE
        self._down = Stopwatch()

    def decide(self, seen: Observation, reason: str) -> list[Action]:
        """The actions of this pass."""
        if seen.unit is None:
            # Neither the hook nor EC2 waits for systemd's response.
            return [*self._record_heartbeat(seen), *self._stop.end_tasks(seen)]
        down_seconds = self._down.seconds(seen.unit.is_down, seen.now)
        if not seen.unit.is_down:
            stop = self._stop
            return [*stop.stop_worker(seen, reason), *self._record_heartbeat(seen), *stop.end_tasks(seen)]
        if not seen.terminating and seen.spot_end is None:
            return []
        return self._end(seen, down_seconds)

    def learn(self, action: Action, result: Result, now: float) -> None:
        """Take the result of an action into account."""
        failed = result.outcome is Outcome.FAILED
        if action.kind is Kind.HEARTBEAT:
            self._heartbeat.pause(now, HEARTBEAT_RETRY_SECONDS if failed else self._heartbeat_seconds)
        elif action.kind in (Kind.COMPLETE, Kind.TERMINATE):
            self._learn_end(action.kind, result.outcome, now)

    def _learn_end(self, kind: Kind, outcome: Outcome, now: float) -> None:
        """If no hook waits, the next request is that the group terminates the instance, which may start a hook."""
        if outcome is not Outcome.FAILED:
            self._next_request = Kind.TERMINATE if kind is Kind.COMPLETE else Kind.COMPLETE
        if kind is Kind.COMPLETE and outcome is Outcome.DONE:
            self.is_over = True
        elif kind is Kind.COMPLETE and outcome is Outcome.REFUSED:
            self._end_node.pause(now, 0)
        else:
            self._end_node.pause(now, self._backoff_seconds)
            self._backoff_seconds = min(2 * self._backoff_seconds, LONGEST_BACKOFF_SECONDS)

    def _record_heartbeat(self, seen: Observation) -> list[Action]:
        if not seen.terminating or not self._heartbeat.is_due(seen.now):
            return []
        return [Action(Kind.HEARTBEAT, f"tasks have been finishing for {seen.now - self._stop.since:.0f} s")]

    def _end(self, seen: Observation, down_seconds: float) -> list[Action]:
        """End a node whose worker is down."""
        if down_seconds >= POWER_OFF_SECONDS and self._end_node.is_due(seen.now):
            self._end_node.pause(seen.now, LONGEST_BACKOFF_SECONDS)
            return [Action(Kind.POWER_OFF, f"drained {down_seconds:.0f} s ago, and nothing has ended the instance")]
        if self.is_over or not self._end_node.is_due(seen.now):
            return []
        reason = "the worker has stopped and all its tasks are finished"
        if self._next_request is Kind.TERMINATE:
            reason += ", and no lifecycle action waits for that"
        return [Action(self._next_request, reason)]
