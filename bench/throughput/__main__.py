"""How fast tasks and releases are, against Airflow's defaults on the same nodes in the same run.

One cluster in the lab: the masters and one worker of the pool `default`. It is measured as the program sets it up; then
its services are restarted with Airflow's own values and parts (variants.py), and measured again. The ratios count: the
figures themselves are those of a small machine on which all nodes, PostgreSQL and the stand-in for S3 share the cores.

    .venv/bin/python bench/throughput                   as root, about 20 minutes on two cores
    .venv/bin/python bench/throughput --tasks 10000     one long run instead, with the memory of each service
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.throughput import report, usage  # noqa: E402 - found by the line above
from bench.throughput.measurements import Bench, chain_files, dag_files  # noqa: E402
from bench.throughput.report import Releases, Results  # noqa: E402
from bench.throughput.variants import Variant, restart_worker, switch  # noqa: E402
from lab.airflow_api import AirflowApi  # noqa: E402
from lab.cluster import Cluster  # noqa: E402
from lab.progress import LabError, say  # noqa: E402

PUBLICATIONS, SINGLES, RESTARTS = 20, 16, 2
ON_A_NEW_WORKER, MAPPED = 160, 1000
FILES = {f"sql/{number // 100:02}/query_{number:04}.sql": f"SELECT {number}\n" for number in range(3000)}
TASKS_BETWEEN_REPORTS = 1000


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench/throughput", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=_number, help="only run this many mapped tasks, without a comparison")
    tasks = parser.parse_args().tasks
    try:
        with Cluster(changes={"airflow:workerPools": one_worker()}) as cluster:
            cluster.publish_dags(dag_files())
            cluster.wait_ready()
            api = AirflowApi(cluster.url, *cluster.admin())
            api.wait_for_dag("mapped")
            bench = Bench(cluster, api)
            if tasks:
                long_run(cluster, api, bench, tasks)
            else:
                compare(cluster, api, bench)
    except (LabError, TimeoutError) as unfit:
        print(unfit, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def one_worker() -> dict[str, Any]:
    """The prod stack's worker pools, which do not scale while something is measured."""
    pools = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())["config"]["airflow:workerPools"]
    return {name: pool | {"minSize": int(name == "default"), "maxSize": 1} for name, pool in pools.items()}


def compare(cluster: Cluster, api: AirflowApi, bench: Bench) -> None:
    """Measure both variants, and print the tables."""
    say(f"{PUBLICATIONS} publications")
    releases = Releases(publications=[bench.publication(number) for number in range(PUBLICATIONS)])
    releases.many_dags = bench.publish(chain_files())
    say(f"stored after {report.p95(releases.publications):.1f} s (p95); with 50 DAGs {releases.many_dags:.1f} s")
    results = {}
    for variant in Variant:
        say(f"{variant}: restarting the services")
        switch(cluster, api, variant)
        results[variant] = measure(cluster, bench)
        if variant is Variant.PROGRAM:
            measure_files(bench, releases)
    program, airflow = results[Variant.PROGRAM], results[Variant.AIRFLOW]
    print("\nSeconds from queued to running, and tasks a minute")
    print(*report.comparison(program, airflow), sep="\n")
    print("\nReleases")
    print(*report.releases(releases, program), sep="\n")
    print("\nProcessor time of a task, in ms; `other` is this machine's rest: PostgreSQL, Valkey, the stand-in for S3")
    print(*report.processor_time(results), sep="\n")
    print("\nMemory of a service on one node: the peak with the page cache (at the end without it), in MiB")
    for variant, each in results.items():
        print(f"{variant}: {report.memory(each.usage)}")
    print(*report.retried(results), sep="\n")


def measure(cluster: Cluster, bench: Bench) -> Results:
    """All measurements of the variant that runs now."""
    results = Results()
    bench.starts(1)  # what the masters do once
    for restart in range(RESTARTS):
        restart_worker(cluster)
        results.first += bench.starts(1)
        if restart == 0:
            results.next = bench.starts(SINGLES - 1)
    results.batches[f"{ON_A_NEW_WORKER} tasks on a new worker"] = bench.mapped(ON_A_NEW_WORKER)
    results.batches[f"{MAPPED:,} mapped tasks"] = bench.mapped(MAPPED)
    results.batches["50 DAGs of 20 tasks"] = bench.chains()
    results.warm = bench.starts(SINGLES)
    results.usage = usage.read(cluster)
    say(report.summary(results))
    return results


def measure_files(bench: Bench, releases: Releases) -> None:
    """The same single tasks on a release with thousands of files."""
    say(f"a release with {len(FILES):,} files more")
    bench.publish(FILES)
    releases.fetched = bench.starts(1)[0].ended
    releases.among_files = bench.starts(SINGLES)
    bench.publish({}, deleted=FILES)


def long_run(cluster: Cluster, api: AirflowApi, bench: Bench, tasks: int) -> None:
    """Run that many tasks, and print the memory of each service on the way."""
    switch(cluster, api, Variant.PROGRAM)
    bench.starts(1)
    print("Memory of a service on one node: the peak with the page cache (now without it), in MiB")
    reported = -TASKS_BETWEEN_REPORTS

    def follow(done: int) -> None:
        nonlocal reported
        if done >= reported + TASKS_BETWEEN_REPORTS:
            reported = done - done % TASKS_BETWEEN_REPORTS
            print(f"{done:>7,} tasks: {report.memory(usage.read(cluster))}", flush=True)

    batch = bench.mapped(tasks, follow=follow)
    print(f"{'at the end':>13}: {report.memory(usage.read(cluster))}")
    print(f"{batch.tasks:,} tasks in {batch.seconds:,.0f} s, {batch.per_minute:.0f} a minute, {batch.retried} retried")


def _number(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tasks, such as 10000")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
