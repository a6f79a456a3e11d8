"""The tables of the benchmark, and which goals were met."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.soak.accounts import percentile
from bench.throughput.measurements import Batch, Start
from bench.throughput.usage import Usage
from bench.throughput.variants import Variant

MORE_TASKS, SOONER = 1.5, 0.5
"""Goals: of the throughput, and of the time in the queue, against Airflow's defaults."""
PUBLICATION_SECONDS, FILES_SECONDS = 15.0, 0.05
MIB = 1 << 20


@dataclass(kw_only=True)
class Results:
    """What was measured of one variant.

    Attributes:
        first: the first task after each restart of the worker.
        next: the tasks after it, while most task slots have not run one yet.
        warm: single tasks when all slots have run some.
        batches: by name.
        usage: at the end, since the services were restarted for this variant.
    """

    first: list[Start] = field(default_factory=list)
    next: list[Start] = field(default_factory=list)
    warm: list[Start] = field(default_factory=list)
    batches: dict[str, Batch] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)


@dataclass(kw_only=True)
class Releases:
    """What was measured of releases; seconds.

    Attributes:
        publications: of one changed DAG in a small release.
        many_dags: of a release with 50 more DAG files, until all are in the database.
        fetched: from queued to ended of the worker's first task on a release with many files, which it fetches.
        among_files: tasks on it.
    """

    publications: list[float]
    many_dags: float = 0.0
    fetched: float = 0.0
    among_files: list[Start] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table; `goal` is for the ratio and `ratio` the program's value to that of Airflow's defaults."""

    title: str
    program: float
    airflow: float
    form: str
    least: float | None = None
    most: float | None = None

    @property
    def ratio(self) -> float:
        return self.program / self.airflow

    @property
    def verdict(self) -> str:
        if self.least is not None:
            return f">= {self.least:.1f}x {_met(self.ratio >= self.least)}"
        if self.most is not None:
            return f"<= {self.most:.1f}x {_met(self.ratio <= self.most)}"
        return ""


def rows(program: Results, airflow: Results) -> Iterator[Row]:
    """The lines that compare both."""
    for title, name in (
        ("first task after a worker's start", "first"),
        ("single tasks after it", "next"),
        ("single tasks on a warm worker", "warm"),
    ):
        values = [_queued(getattr(each, name)) for each in (program, airflow)]
        yield Row(title=f"{title}, in the queue p50", program=values[0], airflow=values[1], form=".3f", most=SOONER)
    for name, batch in program.batches.items():
        other = airflow.batches[name]
        yield Row(
            title=f"{name}, a minute", program=batch.per_minute, airflow=other.per_minute, form=".0f", least=MORE_TASKS
        )


def summary(results: Results) -> str:
    """The times in the queue of one variant, for the progress."""
    names = ("first", "next", "warm")
    return "in the queue, p50: " + ", ".join(f"{_queued(getattr(results, name)):.3f} s ({name})" for name in names)


def comparison(program: Results, airflow: Results) -> Iterator[str]:
    """The table of both."""
    yield f"{'':52}{Variant.PROGRAM:>14}{Variant.AIRFLOW:>20}{'ratio':>8}  goal"
    for row in rows(program, airflow):
        values = f"{row.program:>14{row.form}}{row.airflow:>20{row.form}}"
        yield f"{row.title:52}{values}{row.ratio:>7.2f}x  {row.verdict}".rstrip()


def releases(found: Releases, program: Results) -> Iterator[str]:
    """What releases cost."""
    number, late = len(found.publications), p95(found.publications)
    goal = f"<= {PUBLICATION_SECONDS:.0f} s {_met(late <= PUBLICATION_SECONDS)}"
    p50 = statistics.median(found.publications)
    yield f"{f'published until stored, p95 of {number}':52}{late:>12.1f} s  {goal} (p50 {p50:.1f} s)"
    yield f"{'the same for 50 more DAG files':52}{found.many_dags:>12.1f} s"
    more = statistics.median(one.ended for one in found.among_files) - statistics.median(
        one.ended for one in program.warm
    )
    goal = f"< {1000 * FILES_SECONDS:.0f} ms {_met(more < FILES_SECONDS)}"
    yield f"{'3,000 files more in the release, a task, p50':52}{1000 * more:>11.0f} ms  {goal}"
    yield f"{'the first task, which has the worker fetch them':52}{found.fetched:>12.1f} s"


def processor_time(results: Mapping[Variant, Results]) -> Iterator[str]:
    """Where the processor time of a task goes."""
    names = [(variant, name) for variant, each in results.items() for name in each.batches]
    services = list(
        dict.fromkeys(service for each in results.values() for b in each.batches.values() for service in b.cpu)
    )
    for variant, name in names:
        batch = results[variant].batches[name]
        shares = "  ".join(f"{_short(service)} {1000 * batch.cpu[service] / batch.tasks:.0f}" for service in services)
        yield f"{variant}, {name}: {1000 * sum(batch.cpu.values()) / batch.tasks:.0f} ms = {shares}"


def memory(usage: Mapping[str, Usage]) -> str:
    """Peak and present memory of each service."""
    return "  ".join(
        f"{_short(service)} {one.peak / MIB:,.0f} ({one.anonymous / MIB:,.0f})" for service, one in usage.items()
    )


def retried(results: Mapping[Variant, Results]) -> Sequence[str]:
    """A line for each batch of which tasks were retried."""
    return [
        f"{batch.retried} of {batch.tasks} tasks were retried: {variant}, {name}"
        for variant, each in results.items()
        for name, batch in each.batches.items()
        if batch.retried
    ]


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return percentile(values, 0.95)


def _queued(starts: Sequence[Start]) -> float:
    return statistics.median(one.running for one in starts)


def _short(service: str) -> str:
    return service.removeprefix("airflow-")


def _met(met: bool) -> str:
    return "met" if met else "MISSED"
