"""A policy that knows the future and boots in no time: every task starts when it is ready, on the fewest workers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from bench.scaling.cluster import SCHEDULER_SECONDS
from bench.scaling.work import Run, Trace


def need(trace: Trace) -> list[tuple[float, int]]:
    """The number of workers from each of these times on."""
    edges = sorted(edge for run in trace.runs for edge in _edges(run))
    steps = [(0.0, 0)]
    active = 0
    for at, change in edges:
        active += change
        steps.append((at, -(-active // trace.concurrency)))
    return steps


def hours(trace: Trace) -> float:
    """Instance-hours after the warm-up."""
    steps = [*need(trace), (trace.seconds, 0)]
    total = 0.0
    for (begin, workers), (end, _) in pairwise(steps):
        total += workers * max(0.0, min(end, trace.seconds) - max(begin, trace.warm_up_seconds))
    return total / 3600.0


def _edges(run: Run) -> Iterator[tuple[float, int]]:
    at = run.at
    for stage in run.stages:
        at += SCHEDULER_SECONDS
        for seconds in stage:
            yield at, 1
            yield at + seconds, -1
        at += max(stage)
