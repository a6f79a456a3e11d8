"""Runs programs under the lock on the database: only while the lock is held, and within a time limit."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Mapping, Sequence

from airflow_node import log, retry
from airflow_node.boot_step import StepFailedError

from database.preparation_lock import PROGRESS_SECONDS, Activity, DatabaseLock, LockLostError

# For everything under one lock. One migration of a large table may take an hour. Auto Scaling abandons a launch that is
# not completed within 48 hours: https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html
LIMIT_SECONDS = 4 * 3600
LOOK_SECONDS = 1
STDERR = 2


class GuardedCommands:
    """Programs that run under the lock, and share one limit."""

    def __init__(self, lock: DatabaseLock, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._lock = lock
        self._limit = limit_seconds
        self._started = retry.clock()
        self._blockers = ""

    def run(self, name: str, command: Sequence[str], environment: Mapping[str, str], stdin: str | None = None) -> int:
        """Run the program to its end; returns its exit code.

        Kills it if the lock is lost (LockLostError) or the time is up (StepFailedError). `name` is for log lines.
        """
        self._blockers = ""
        begin = retry.clock()
        given = subprocess.PIPE if stdin is not None else subprocess.DEVNULL
        # Its output goes to the journal alone. This step's own output also goes to the console.
        with subprocess.Popen(command, env=dict(environment), stdin=given, stdout=STDERR, text=True) as process:
            try:
                if process.stdin is not None and stdin is not None:
                    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                        pipe.write(stdin)
                logged = begin
                while (code := _ended(process)) is None:
                    logged = self._check(name, begin, logged)
                # After a loss of the lock, its next holder ends this program's sessions. That is not a failure of it.
                self._lock.check()
            except LockLostError:
                process.kill()
                raise
            except BaseException:
                process.kill()
                self._lock.end_sessions()
                raise
        return code

    def _check(self, name: str, begin: float, logged: float) -> float:
        """Check that the program may continue, and log its progress; returns when it was last logged."""
        activity, now = self._lock.activity(), retry.clock()
        if now - self._started > self._limit:
            self._stop(name)
        is_news = activity.blockers and not self._blockers
        self._blockers = activity.blockers or self._blockers
        if not is_news and now - logged < PROGRESS_SECONDS:
            return logged
        log.say(f"{name} has been running for {now - begin:.0f} s{_described(activity)}")
        return now

    def _stop(self, name: str) -> None:
        raise StepFailedError(
            f"{name} has not finished within {self._limit / 3600:.3g} hours and is stopped"
            f"{f'; it waited for {self._blockers}' if self._blockers else ''}. Uncommitted work is rolled back. "
            "docs/long-migrations.md says how to run it by hand."
        )


def _ended(process: subprocess.Popen[str]) -> int | None:
    """The exit code; None if the program still runs after a moment."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(LOOK_SECONDS)
    return None


def _described(activity: Activity) -> str:
    if activity.blockers:
        return f" and waits for {activity.blockers}: {activity.statements}"
    return f": {activity.statements}" if activity.statements else ""
