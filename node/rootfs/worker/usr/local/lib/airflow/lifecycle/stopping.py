"""How a worker comes to its end: it finishes what it has, and what takes too long is ended."""

from __future__ import annotations

from lifecycle.action import Action, Kind
from lifecycle.observation import Situation
from lifecycle.stopwatch import Lasting, Pace

STOP_AGAIN_SECONDS = 10.0
# Tasks that are ended this long before a spot instance goes still get their last words out: Airflow tries them again
# at once instead of after a missed heartbeat. EC2 announces 120 s ahead.
SPOT_RESERVE_SECONDS = 30.0
# EC2 waits a few minutes for a machine that it has told to shut down, and for no task: who terminates an instance past
# its group gets this. It cannot be told from a reboot.
SHUTDOWN_SECONDS = 60.0
END_AGAIN_SECONDS = 10.0


class Stopping:
    """The last tasks of one worker. Pure.

    systemd counts from the first stop, and kills what is left a little after the drain limit. So whoever asks for
    another stop later has to count from the first one, too.
    """

    def __init__(self, limit_seconds: float, since: float) -> None:
        """`since`: when the worker was first told to stop."""
        self.since = since
        self._limit = limit_seconds
        self._stop, self._end = Pace(), Pace()
        self._shutdown = Lasting()

    def stop_worker(self, seen: Situation, why: str) -> list[Action]:
        """Have it take no more and finish the rest."""
        if seen.unit is None or not seen.unit.is_up or not self._stop.is_due(seen.now):
            return []
        self._stop.rest(seen.now, STOP_AGAIN_SECONDS)
        return [Action(Kind.STOP_WORKER, why)]

    def end_tasks(self, seen: Situation) -> list[Action]:
        """End what still runs when its time is up."""
        why = self._time_is_up(seen)
        if why is None or seen.running == 0 or not self._end.is_due(seen.now):
            return []
        self._end.rest(seen.now, END_AGAIN_SECONDS)
        return [Action(Kind.END_TASKS, why)]

    def _time_is_up(self, seen: Situation) -> str | None:
        shutdown = self._shutdown.seconds(seen.system_stopping, seen.now)
        if seen.spot_end is not None and seen.now >= seen.spot_end - SPOT_RESERVE_SECONDS:
            return f"EC2 takes this spot instance back in {max(0.0, seen.spot_end - seen.now):.0f} s"
        if shutdown >= SHUTDOWN_SECONDS:
            return f"the machine has been shutting down for {shutdown:.0f} s"
        if seen.now >= self.since + self._limit:
            return f"the drain limit of {self._limit:.0f} s is over"
        return None
