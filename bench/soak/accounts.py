"""What happened to every task, according to the metadata database and the execution log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lab.execution_log import Execution
from lab.workload import Task, Try


@dataclass(frozen=True, kw_only=True)
class Reclaim:
    """A spot instance that EC2 took back: what ran on it between the two moments may be retried."""

    address: str
    begin: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """Runs that went wrong, by name; all four are empty when nothing did.

    Attributes:
        failed: ended in failure.
        lost: did not end, or succeeded without having been executed.
        doubled: one of their tries was executed more than once.
        disturbed: were retried although no spot instance was taken from them.
    """

    tasks: int
    executions: int
    retried: int
    failed: tuple[str, ...]
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    disturbed: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not (self.failed or self.lost or self.doubled or self.disturbed)


def account_for(
    started: Collection[str],
    tasks: Iterable[Task],
    earlier: Sequence[Try],
    log: Mapping[Execution, int],
    reclaims: Sequence[Reclaim],
) -> Accounts:
    """Compare what was started with what the database and the log know.

    `earlier` are the tries before the last one of each task.
    """
    known = {task.run: task for task in tasks}
    executed = Counter[str]()
    last_tries = set[tuple[str, int]]()
    for entry, times in log.items():
        executed[entry.run_id] += times
        last_tries.add((entry.run_id, entry.try_number))
    ended_well = {run for run, task in known.items() if task.state == "success"}
    failed = {run for run, task in known.items() if task.state in ("failed", "upstream_failed")}
    without_trace = {run for run in ended_well if (run, known[run].tries) not in last_tries}
    return Accounts(
        tasks=len(started),
        executions=sum(executed[run] for run in started),
        retried=sum(known[run].tries > 1 for run in started if run in known),
        failed=tuple(sorted(failed)),
        lost=tuple(sorted((set(started) - ended_well - failed) | without_trace)),
        doubled=tuple(sorted({entry.run_id for entry, times in log.items() if times > 1} & set(started))),
        disturbed=tuple(sorted({one.run for one in earlier if not _was_reclaimed(one, reclaims)})),
    )


def _was_reclaimed(one: Try, reclaims: Iterable[Reclaim]) -> bool:
    return any(
        reclaim.address == one.address and one.ended is not None and reclaim.begin <= one.ended <= reclaim.end
        for reclaim in reclaims
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
