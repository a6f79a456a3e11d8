"""The result of a policy on a trace, and whether the product reaches its goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.scaling import oracle
from bench.scaling.cluster import Cluster, Record
from bench.scaling.peers import Keda, Mwaa, Peer, Turbine
from bench.scaling.product import Product
from bench.scaling.work import Trace


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One policy on one trace, after the warm-up. Waits are from a task's entry into the queue to its start."""

    policy: str
    median_wait: float
    p95_wait: float
    hours: float
    killed: int
    actions: int
    record: Record


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One goal on one trace."""

    text: str
    value: float
    limit: float

    @property
    def is_met(self) -> bool:
        """Whether the value is within the limit."""
        return self.value <= self.limit


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All policies on one trace."""

    trace: Trace
    outcomes: Mapping[str, Outcome]
    oracle_hours: float

    @property
    def product(self) -> Outcome:
        """The product's outcome."""
        return self.outcomes[Product.name]

    @property
    def best_wait(self) -> float:
        """The smallest p95 wait among the peers."""
        return min(outcome.p95_wait for name, outcome in self.outcomes.items() if name != Product.name)

    def goals(self) -> tuple[Goal, ...]:
        """What the product has to reach on this trace."""
        product, keda = self.product, self.outcomes[Keda.name]
        is_schedule = self.trace.kind == "schedule"
        wait_limit = 0.1 * self.best_wait if is_schedule else self.best_wait + 5.0
        return (
            Goal(
                text="p95 wait, s, at most " + ("0.1x the best peer's" if is_schedule else "the best peer's + 5 s"),
                value=product.p95_wait,
                limit=wait_limit,
            ),
            Goal(text="instance-hours / KEDA's", value=product.hours / keda.hours, limit=0.95 if is_schedule else 0.9),
            Goal(
                text="instance-hours / the oracle's",
                value=product.hours / self.oracle_hours,
                limit=1.25 if self.trace.kind == "steady" else 2.0,
            ),
            Goal(text="tasks killed", value=product.killed, limit=0),
        )


def compare(trace: Trace) -> Comparison:
    """Simulate the trace with every policy."""
    outcomes = [play(trace, policy) for policy in (Product(), Keda(), Mwaa(), Turbine())]
    return Comparison(
        trace=trace,
        outcomes={outcome.policy: outcome for outcome in outcomes},
        oracle_hours=oracle.hours(trace),
    )


def play(trace: Trace, policy: Product | Peer) -> Outcome:
    """Simulate the trace with one policy."""
    cluster = Cluster(trace)
    policy.join(cluster)
    record = cluster.play()
    start = trace.warm_up_seconds
    waits = sorted(wait for queued_at, wait in record.waits if queued_at >= start)
    return Outcome(
        policy=policy.name,
        median_wait=_percentile(waits, 0.5),
        p95_wait=_percentile(waits, 0.95),
        hours=sum(max(0.0, end - max(begin, start)) for begin, end in record.spans) / 3600.0,
        killed=record.killed,
        actions=sum(at >= start for at in record.actions),
        record=record,
    )


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
