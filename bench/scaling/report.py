"""The tables that the benchmark prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.scaling.decision_cost import GOAL_SECONDS, Cost
from bench.scaling.outcome import Comparison, Goal

ROW = "{:<14} {:>10} {:>10} {:>12} {:>8} {:>8} {:>9} {:>7} {:>8}"
HEAD = ("policy", "p50 wait s", "p95 wait s", "/best peer's", "hours", "/KEDA's", "/oracle's", "killed", "actions")
# What counts as near-linear: a worker may cost this many times as much at the largest size as at a tenth of it.
LINEAR_FACTOR = 2.0


def lines(comparison: Comparison) -> Iterator[str]:
    """One trace."""
    trace = comparison.trace
    tasks = sum(len(stage) for run in trace.runs for stage in run.stages)
    yield f"{trace.name} ({trace.kind}): {tasks} tasks, oracle {comparison.oracle_hours:.1f} instance-hours"
    yield ROW.format(*HEAD)
    keda_hours = comparison.outcomes["KEDA + HPA"].hours
    for outcome in comparison.outcomes.values():
        yield ROW.format(
            outcome.policy,
            f"{outcome.median_wait:.1f}",
            f"{outcome.p95_wait:.1f}",
            f"{outcome.p95_wait / comparison.best_wait:.2f}" if comparison.best_wait else "-",
            f"{outcome.hours:.1f}",
            f"{outcome.hours / keda_hours:.3f}",
            f"{outcome.hours / comparison.oracle_hours:.2f}",
            outcome.killed,
            outcome.actions,
        )
    for goal in comparison.goals():
        yield _goal(goal)
    yield ""


def cost_lines(costs: Sequence[Cost]) -> Iterator[str]:
    """The decision loop's own cost."""
    yield "a pass of the controller: registry read, all pools decided"
    for cost in costs:
        size = f"{cost.pools:>4} pools {cost.workers:>7} workers"
        yield f"  {size} {cost.seconds * 1e3:>9.2f} ms {cost.seconds / cost.workers * 1e6:>7.1f} us/worker"
    largest, tenth = costs[-1], costs[-2]
    yield _goal(Goal(text="seconds at the largest", value=largest.seconds, limit=GOAL_SECONDS))
    growth = (largest.seconds / largest.workers) / (tenth.seconds / tenth.workers)
    yield _goal(Goal(text="cost of a worker / at a tenth of the workers", value=growth, limit=LINEAR_FACTOR))


def _goal(goal: Goal) -> str:
    return f"  {'met   ' if goal.is_met else 'MISSED'} {goal.text}: {goal.value:.3f} (limit {goal.limit:.3f})"
