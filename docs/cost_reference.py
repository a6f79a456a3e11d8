"""Writes docs/cost.md from the table of prices and the stack files: `make docs`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby

from aws_catalog import prices
from engine.program import REPOSITORY, run_program
from engine.recording import Recording
from engine.stack_config import read_stack_config
from plan import costs
from plan.resources import component_of

_INTRODUCTION = f"""# What a cluster costs

`make docs` generates this page from `aws_catalog/prices.toml` and the stack files, and a test keeps it current.
`make plan` prints the same for your stack file.

- These are **list prices of {prices.region()}** in US dollars, on demand, without tax, free tiers and discounts. Other
  regions differ, and most are dearer. Nobody has checked them against a bill.
- Every price was copied from a public source, [named below](#the-prices) with its date, or with its commit where it has
  no date; none was read from AWS. Before you decide anything by them, enter your sizes into
  [AWS's calculator](https://calculator.aws).
- The sums are **floors**: what is charged by the hour or the month with each group of nodes at its minimum size. What
  comes on top is [below](#what-use-adds).
"""

_AT_REST = f"""## At rest

For {prices.HOURS} hours, and for a night of twelve. Only workers scale to zero: masters, database, broker and NAT
gateways also run while nobody works.

| cluster | a month | a night | tasks at a time | Amazon MWAA for as many |
|---|---|---|---|---|"""

_MWAA = """
MWAA's column is the cheapest environment whose workers run at least as many tasks at a time, by the defaults of its
classes (5, 10 and 20 for each worker). It is without its VPC, logs and storage, which you also pay for, and says
nothing about the CPU and memory of a task. At rest, MWAA is cheaper than the prod stack, whose database and broker have
a standby and are sized for all its tasks, with a NAT gateway in each zone.
"""

_PAUSED = """## A night paused

Twelve hours without nodes and with a stopped database ([how](pausing-a-cluster.md)). NAT gateways, broker, load
balancer, storage and secrets cost the same.

| cluster | a night | paused | saved |
|---|---|---|---|"""

_TASK_HOURS = """## A thousand task hours

What workers cost for a thousand hours of tasks, if every slot is in use: half of the slots, twice the price. Spot
workers cost less; their price changes all the time and is not in the table.

| worker | tasks at a time | a thousand task hours |
|---|---|---|"""

_USE = """
## What use adds

- Nodes above the minimum of their group.
- Traffic: ${nat:g} for a GB through a NAT gateway, and more for what leaves the region or crosses a zone. Traffic to S3
  uses a gateway endpoint, which is free.
- Logs: ${logs:g} for a GB sent to CloudWatch (flow logs, logs of database and broker).
- S3: ${s3:g} for a GB and month, and requests: task logs, access logs, DAG releases.
- Capacity units of the load balancer, requests to Secrets Manager and KMS, notifications, RDS backups beyond the size
  of the database, CPU credits of burstable types.
- The secret of the database's administrator, which RDS creates.
"""

_PRICES = """## The prices

Each for an hour (h), a month (m) or a unit of use (u).
"""


def page() -> str:
    """The whole page, in Markdown."""
    prod, dev = run_program("prod"), run_program("dev")
    clusters = {
        "prod": prod,
        "prod, with `minSize: 0` for its workers": run_program("prod", changes=_pools("prod", minSize=0)),
        "small: dev, with one on-demand worker that stays": run_program(
            "dev", changes=_pools("dev", minSize=1, spotPercent=0)
        ),
        "dev": dev,
    }
    use = {name: price.usd for name, price in prices.table().items() if price.per == "use"}
    parts = [
        _INTRODUCTION,
        _AT_REST,
        *(_row(title, recording) for title, recording in clusters.items()),
        _MWAA,
        _PAUSED,
        *(_paused_row(title, recording) for title, recording in clusters.items()),
        "",
        *_components("prod", prod),
        *_components("dev", dev),
        _TASK_HOURS,
        *_workers({"prod": prod, "dev": dev}),
        _USE.format(
            nat=use["GB through a NAT gateway"], logs=use["GB of logs sent to CloudWatch"], s3=use["GB and month in S3"]
        ),
        _PRICES,
        *_sources(),
    ]
    return "\n".join(parts) + "\n"


def _pools(stack: str, **settings: int) -> Mapping[str, object]:
    """The stack file's worker pools, each with these settings, as a change of the file."""
    pools = json.loads(read_stack_config(REPOSITORY, stack).values["airflow:workerPools"])
    return {"airflow:workerPools": {name: {**pool, **settings} for name, pool in pools.items()}}


def _row(title: str, recording: Recording) -> str:
    found = costs.floor(recording)
    environment = costs.mwaa(found.tasks)
    other = f"${environment.monthly:,.0f} a month: {environment.size}" if environment else "more than it runs"
    night = _night(found.monthly)
    return f"| {title} | **${found.monthly:,.0f}** | ${night:,.2f} | {found.tasks} | {other} |"


def _paused_row(title: str, recording: Recording) -> str:
    night, saved = _night(costs.floor(recording).monthly), _night(costs.pausable(recording))
    return f"| {title} | ${night:,.2f} | ${night - saved:,.2f} | ${saved:,.2f} |"


def _night(monthly: float) -> float:
    return monthly / prices.HOURS * 12


def _components(stack: str, recording: Recording) -> Iterator[str]:
    found = costs.floor(recording)
    yield f"### {stack}, by component\n\n| component | a month | for |\n|---|---|---|"
    for name, usd, charged in found.components():
        yield f"| {name} | ${usd:,.2f} | {charged} |"
    yield f"| | **${found.monthly:,.2f}** | |\n"
    if found.unpriced:
        yield f"Not in the table of prices, and not in the sum: {', '.join(map(str, found.unpriced))}.\n"


def _workers(recordings: Mapping[str, Recording]) -> Iterator[str]:
    for stack, recording in recordings.items():
        for group in recording.of_type(costs.GROUP):
            if slots := costs.concurrency(group, recording):
                instance_type, hour = costs.node_hour(group, recording)
                usd = "not in the table" if hour is None else f"${hour / slots * 1000:,.2f}"
                yield f"| {stack}, {component_of(group)}: {instance_type} | {slots} | {usd} |"
    for name, slots in costs.MWAA_TASKS.items():
        usd = prices.table()[f"{name} worker"].usd
        yield f"| Amazon MWAA: a further worker of {name} | {slots} | ${usd / slots * 1000:,.2f} |"


def _sources() -> Iterator[str]:
    for (address, date, note), found in groupby(prices.table().items(), key=lambda item: _origin(item[1])):
        listed = ", ".join(f"{name} ${price.usd:g}/{price.per[0]}" for name, price in found)
        yield f"- [{date}]({address}){f', {note}' if note else ''}: {listed}"


def _origin(price: prices.Price) -> tuple[str, str, str]:
    return price.address, price.date, price.note


if __name__ == "__main__":
    sys.stdout.write(page())
