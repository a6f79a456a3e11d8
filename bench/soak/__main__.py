"""Scale-ins of every cause under constant load in the lab: is any task lost, killed or executed twice?

Workers go because they are idle, surplus, terminated, refreshed, unhealthy or reclaimed, while both pools have tasks.
At the end every task is looked up in the metadata database, and every execution in the log that the tasks wrote.

    .venv/bin/python bench/soak [--number N]        as root, about 45 minutes for 100; Ctrl-C ends it early

Exit code 1 on any fault.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.soak.accounts import Accounts, account_for, percentile  # noqa: E402 - found by the line above
from bench.soak.load import Load  # noqa: E402
from bench.soak.scale_ins import FULL, Cause, ScaleIn, ScaleIns  # noqa: E402
from lab import execution_log  # noqa: E402
from lab.airflow_api import AirflowApi  # noqa: E402
from lab.cluster import Cluster  # noqa: E402
from lab.progress import LabError, say  # noqa: E402
from lab.workload import Workload  # noqa: E402

DAG = ROOT / "tests" / "cluster" / "dags" / "load.py"
LEVELS = {"default": 5, "heavy": FULL}
LONGEST_PAUSE = 600
"""Seconds without a scale-in after which the soak test is abandoned."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=100, help="scale-ins to see (default 100)")
    number = parser.parse_args().number
    try:
        with Cluster() as cluster:
            return soak(cluster, number)
    except (LabError, TimeoutError) as unfit:
        print(unfit, file=sys.stderr)
        return 1


def soak(cluster: Cluster, number: int) -> int:
    """The exit code is 0 if every task succeeded as it should have."""
    cluster.put_dag(DAG.name, DAG.read_text())
    cluster.wait_ready()
    work = Workload(cluster, AirflowApi(cluster.url, *cluster.admin()), name="soak")
    load = Load(work, LEVELS)
    scale_ins = ScaleIns(cluster, load, number)
    began = time.monotonic()
    try:
        watch(load, scale_ins, number)
    except KeyboardInterrupt:
        say("interrupted: the tasks that are there run to their end, then they are counted")
    minutes = (time.monotonic() - began) / 60
    tasks = load.stop()
    accounts = account_for(
        load.started,
        tasks,
        work.earlier_tries(load.started),
        execution_log.read(cluster.boto3("s3"), cluster.recording.exports["buckets"]["taskLogs"]),
        scale_ins.reclaims,
    )
    report(scale_ins, accounts, minutes)
    return 0 if accounts.clean else 1


def watch(load: Load, scale_ins: ScaleIns, number: int) -> None:
    """Keep up the load and make workers leave, until enough have left."""
    last = time.monotonic()
    while len(scale_ins.done) < number:
        load.feed()
        for gone in scale_ins.step():
            last = time.monotonic()
            say(f"{len(scale_ins.done)}/{number}: {gone.node} {gone.cause}, {gone.seconds:.0f} s, {gone.tasks} tasks")
        if time.monotonic() - last > LONGEST_PAUSE:
            raise TimeoutError(f"no worker has gone for {LONGEST_PAUSE} s")
        time.sleep(1)


def report(scale_ins: ScaleIns, accounts: Accounts, minutes: float) -> None:
    """The table, and what went wrong."""
    print(f"\n{'cause':28}{'workers':>8}{'busy':>6}{'tasks':>7}{'p50':>8}{'p95':>8}")
    for cause in [*Cause, None]:
        print(_row(cause, [one for one in scale_ins.done if cause in (one.cause, None)]))
    print(f"\n{accounts.tasks} tasks, {accounts.executions} executions, {accounts.retried} retried, {minutes:.1f} min")
    print("tasks = running on the worker when it had to leave; p50, p95 = from then to its end")
    for fault in ("failed", "lost", "doubled", "disturbed"):
        runs = getattr(accounts, fault)
        print(f"{fault:10}{len(runs):4}  {' '.join(runs)}")
    for other in scale_ins.others:
        print(f"not counted: {other.node_name}, {other.how}: {other.cause}")


def _row(cause: Cause | None, gone: Sequence[ScaleIn]) -> str:
    busy, tasks = sum(one.tasks > 0 for one in gone), sum(one.tasks for one in gone)
    seconds = [one.seconds for one in gone]
    p50, p95 = (f"{percentile(seconds, share):7.0f}s" if gone else f"{'-':>8}" for share in (0.5, 0.95))
    return f"{cause or 'all':28}{len(gone):8}{busy:6}{tasks:7}{p50}{p95}"


if __name__ == "__main__":
    sys.exit(main())
