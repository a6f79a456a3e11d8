"""Synthetic traces with fixed seeds: the shapes of load that Airflow clusters have."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from bench.scaling.work import Run, Trace

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def traces() -> tuple[Trace, ...]:
    """All of them."""
    return (hourly(), uneven(), daily(), mixed(), steady(), steady_long(), heavy_tailed(), backfill(), ad_hoc())


def hourly() -> Trace:
    """Twelve DAGs that fan out once an hour, five on the hour and the others later."""
    return _hourly("hourly", lambda _, width: width)


def uneven() -> Trace:
    """Hourly DAGs whose runs have up to three tenths more or fewer tasks than usual: the last runs mislead."""
    return _hourly("uneven", lambda dice, width: round(width * dice.uniform(0.7, 1.3)))


def _hourly(name: str, width_of_run: Callable[[random.Random, int], int]) -> Trace:
    dice = random.Random(1)  # noqa: S311 - a simulation
    runs = []
    for dag in range(12):
        minute, width = dice.choice((0, 0, 10, 20, 40)), dice.randint(6, 30)
        for hour in range(28):
            at = hour * HOUR + minute * MINUTE
            runs.append(_fan_out(dice, f"{name}-{dag}", at, width_of_run(dice, width), median=300.0, sigma=0.5))
    return Trace(
        name=name,
        kind="schedule",
        seconds=28 * HOUR,
        warm_up_seconds=4 * HOUR - 10 * MINUTE,
        concurrency=8,
        maximum=40,
        window=(8 * HOUR - 10 * MINUTE, 11 * HOUR),
        runs=tuple(runs),
    )


def daily() -> Trace:
    """A nightly batch in three waves, with long tasks."""
    dice = random.Random(2)  # noqa: S311 - a simulation
    runs = []
    for dag in range(24):
        hour, width = dice.choice((2.0, 2.0, 3.0, 6.5)), dice.randint(10, 40)
        runs += [_fan_out(dice, f"daily-{dag}", day * DAY + hour * HOUR, width, median=600.0) for day in range(7)]
    return Trace(
        name="daily",
        kind="schedule",
        seconds=7 * DAY,
        warm_up_seconds=2 * DAY,
        concurrency=8,
        maximum=60,
        window=(4 * DAY + 1.5 * HOUR, 4 * DAY + 8 * HOUR),
        runs=tuple(runs),
    )


def mixed() -> Trace:
    """What a team has after a year: runs every quarter of an hour, every hour and every night, and some by hand."""
    dice = random.Random(3)  # noqa: S311 - a simulation
    runs = []
    for dag in range(4):
        width = dice.randint(3, 8)
        runs += [_fan_out(dice, f"quarter-{dag}", quarter * 900.0, width, median=180.0) for quarter in range(3 * 96)]
    for dag in range(8):
        minute, width = dice.choice((0, 0, 20)), dice.randint(8, 30)
        runs += [
            _fan_out(dice, f"hourly-{dag}", hour * HOUR + minute * MINUTE, width, median=300.0)
            for hour in range(3 * 24)
        ]
    for dag in range(6):
        width = dice.randint(20, 60)
        runs += [_fan_out(dice, f"nightly-{dag}", day * DAY + 3 * HOUR, width, median=600.0) for day in range(3)]
    at = 0.0
    while (at := at + dice.expovariate(1 / 5400.0)) < 3 * DAY:
        runs.append(_fan_out(dice, "clicked", at, dice.randint(1, 6), median=120.0, scheduled=False))
    return Trace(
        name="mixed",
        kind="schedule",
        seconds=3 * DAY,
        warm_up_seconds=DAY + HOUR,
        concurrency=8,
        maximum=60,
        window=(2 * DAY + 1.8 * HOUR, 2 * DAY + 6.2 * HOUR),
        runs=tuple(runs),
    )


def steady() -> Trace:
    """About sixty tasks at any time, all day."""
    dice = random.Random(4)  # noqa: S311 - a simulation
    runs = _arrivals(dice, 12 * HOUR, lambda _: 0.5, lambda: _lognormal(dice, 100.0, 0.6))
    return _single("steady", "steady", 12 * HOUR, runs, window=(6 * HOUR, 8 * HOUR))


def steady_long() -> Trace:
    """About thirty tasks at any time: most take minutes, some half an hour."""
    dice = random.Random(4)  # noqa: S311 - a simulation
    runs = _arrivals(dice, 12 * HOUR, lambda _: 0.1, lambda: _lognormal(dice, 180.0, 1.0))
    return _single("steady-long", "steady", 12 * HOUR, runs, window=(6 * HOUR, 8 * HOUR))


def heavy_tailed() -> Trace:
    """Most tasks take a minute, some take hours, and the load follows the working day."""
    dice = random.Random(5)  # noqa: S311 - a simulation
    runs = _arrivals(
        dice,
        DAY,
        lambda at: 0.02 + 0.18 * max(0.0, math.sin(2 * math.pi * (at / DAY - 0.25))),
        lambda: min(6 * HOUR, 40.0 * dice.paretovariate(1.1)),
    )
    return _single("heavy-tailed", "ad hoc", DAY, runs, window=(10 * HOUR, 12 * HOUR))


def backfill() -> Trace:
    """A quiet pool, and a backfill of 768 runs, 32 at a time."""
    dice = random.Random(6)  # noqa: S311 - a simulation
    runs = _arrivals(dice, 12 * HOUR, lambda _: 0.03, lambda: _lognormal(dice, 120.0, 0.6))
    for lane in range(32):
        at = 3 * HOUR
        for _ in range(48):
            run = _fan_out(dice, f"backfill-{lane}", at, 5, median=240.0, scheduled=False)
            runs.append(run)
            at += sum(max(stage) for stage in run.stages) + 15.0
    return _single("backfill", "ad hoc", 12 * HOUR, runs, window=(2.5 * HOUR, 8.5 * HOUR))


def ad_hoc() -> Trace:
    """Analysts and events trigger runs of any size at any time of the working day."""
    dice = random.Random(8)  # noqa: S311 - a simulation
    runs, at = [], 0.0
    while (at := at + dice.expovariate(1 / 420.0)) < DAY:
        if dice.random() < max(0.05, math.sin(2 * math.pi * (at / DAY - 0.25))):
            width = min(60, int(dice.paretovariate(0.9) * 2))
            runs.append(_fan_out(dice, "ad-hoc", at, width, median=150.0, sigma=0.9, scheduled=False))
    return _single("ad-hoc", "ad hoc", DAY, runs, window=(10 * HOUR, 14 * HOUR))


def _single(name: str, kind: str, seconds: float, runs: list[Run], *, window: tuple[float, float]) -> Trace:
    return Trace(
        name=name,
        kind=kind,
        seconds=seconds,
        warm_up_seconds=HOUR,
        concurrency=8,
        maximum=40,
        window=window,
        runs=tuple(runs),
    )


def _fan_out(
    dice: random.Random,
    dag_id: str,
    at: float,
    width: int,
    *,
    median: float,
    sigma: float = 0.35,
    scheduled: bool = True,
) -> Run:
    """List what there is, process it in parallel, publish it."""
    middle = tuple(_lognormal(dice, median, sigma) for _ in range(width))
    stages = ((_lognormal(dice, 25.0, 0.4),), middle, (_lognormal(dice, 40.0, 0.4),))
    return Run(dag_id=dag_id, at=at, stages=stages, scheduled=scheduled)


def _arrivals(
    dice: random.Random, seconds: float, rate: Callable[[float], float], duration: Callable[[], float]
) -> list[Run]:
    """Single tasks at random times; `rate` is tasks per second."""
    runs, at = [], 0.0
    while (at := at + dice.expovariate(rate(at))) < seconds:
        runs.append(Run(dag_id="single", at=at, stages=((duration(),),), scheduled=False))
    return runs


def _lognormal(dice: random.Random, median: float, sigma: float) -> float:
    return max(2.0, median * math.exp(dice.gauss(0.0, sigma)))
