"""The prod stack's cluster, booted once in each process of the lab tests, which run in several.

Each file leaves the cluster at rest, so their order is free. Only `test_boot.py` needs a new cluster.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from xdist.scheduler import LoadFileScheduling

# Before anything of the lab is imported: the names of all that a lab makes on this machine depend on it.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["AIRFLOW_LAB"] = str(1 + int(worker.removeprefix("gw")))
else:
    os.environ.setdefault("AIRFLOW_LAB", "1")

from lab import cgroups, host
from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.node import Node
from lab.preconditions import UnfitError
from lab.progress import say
from lab.workload import Workload
from node import rootfs
from tests.cluster.monitor import Monitor
from tests.cluster.worker_pools import group_of, rest, set_minimum, set_workers
from tests.stack_file import changed

WORKERS = {"default": 2, "heavy": 3}
"""How many of each pool the tests let work at a time."""
PACKAGE = "tree"
"""A small Debian package that the image lacks: masters install it. Workers, which boot all the time, do not: it takes
seconds of processor time."""
START_SCRIPT = "tests/cluster/start-script"
MONITOR = {"instanceType": "t3.small"}
DAGS = Path(__file__).with_name("dags")
PLUGINS = """
# As Airflow's own example DAGs import them.
from airflow.example_dags.plugins.decreasing_priority_weight_strategy import DecreasingPriorityWeightStrategyPlugin
from airflow.example_dags.plugins.listener_plugin import MetadataCollectionPlugin
from airflow.example_dags.plugins.workday import WorkdayTimetablePlugin
"""
MONITORED = ("boot", "monitor", "metrics")
"""These files share a cluster, the only one with a monitor: metrics take 9 s of processor time at each node's boot."""
BEGUN_FIRST = (
    *MONITORED,  # the first of them needs a cluster that no test has used
    *("scaling", "leaving", "schedule", "losses", "unavailable_workers", "outages", "dag_releases", "rebalancing"),
)
"""Each process boots a cluster, and takes the next file when it has finished one: the longest should not be last."""
MEMORY_MIB = 15_400
"""The limit of each of several clusters: together they use less. With a lower one, no pool could have its `WORKERS`."""
USED_MIB = 9_000
"""What a cluster needs, with its servers, the page cache and the process that tests it."""


def pytest_xdist_auto_num_workers() -> int:
    """As many clusters at a time as fit into this machine: one for each core, and for its memory."""
    return max(1, min(os.cpu_count() or 1, cgroups.available_mib() // USED_MIB))


class ByCluster(LoadFileScheduling):
    """Each process takes file by file, and the files of `MONITORED` as if they were one."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "monitored" if Path(file).stem.removeprefix("test_") in MONITORED else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByCluster:
    """Called by pytest-xdist."""
    return ByCluster(config, log)


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.lab)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {f"test_{name}": place for place, name in enumerate(BEGUN_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def new_cluster(*, monitored: bool = False) -> Cluster:
    """The prod stack's cluster, with a network and a name for this process's lab alone."""
    cidr = f"10.{80 + host.NUMBER}.0.0/16"
    own: dict[str, Any] = {
        "cluster.name": f"airflow-prod-{host.NUMBER}",
        "network.cidr": cidr,
        "web.allowedCidrs": [cidr],
        "dagBundles": {"dags": {}, "reports": {}},
        "masters.systemPackages": [PACKAGE],
        "workerPools.heavy.startScript": START_SCRIPT,
        # Instead of 1: a fifth of the processor time of a cluster at rest.
        "config": {"scheduler": {"scheduler_idle_sleep_time": 2}},
    }
    if monitored:
        own |= {"monitoring": MONITOR, "alerts": {}}
    # Set by pytest: the test for which the cluster is made.
    boots = "test_boot.py" in os.environ.get("PYTEST_CURRENT_TEST", "")
    several = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1
    changes = changed({f"airflow:{key}": value for key, value in own.items()})
    return Cluster(changes=changes, memory_mib=MEMORY_MIB if several else None, from_lock=boots)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Both masters and each pool's minimum of workers, ready, with plugins, and the tests' DAGs in their bucket. With a
    monitor if this process has the tests of `MONITORED`, which are then the first."""
    monitored = any(f"test_{name}.py" in os.environ["PYTEST_CURRENT_TEST"] for name in MONITORED)
    plugins = tmp_path_factory.mktemp("airflow-plugins")
    (plugins / "examples.py").write_text(PLUGINS)
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(rootfs, "USER_PLUGINS", plugins))
        try:
            lab = stack.enter_context(new_cluster(monitored=monitored))
        except UnfitError as unfit:
            pytest.skip(str(unfit))
        fitting = {pool: lab.budget.maximums[group_of(lab, pool)] for pool in WORKERS}
        if any(fitting[pool] < WORKERS[pool] for pool in WORKERS):
            pytest.skip(f"the tests want workers {WORKERS}, and {fitting} fit into the memory of this machine")
        lab.publish_dags({dag.name: dag.read_text() for dag in DAGS.glob("*.py")})
        lab.wait_ready()
        say("\n" + lab.boot_table())
        yield lab


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> AirflowApi:
    return AirflowApi(cluster.url, *cluster.admin())


@pytest.fixture(scope="session")
def monitor(cluster: Cluster) -> Monitor:
    """The monitor of the cluster that `MONITORED` share."""
    return Monitor(cluster)


@pytest.fixture(scope="session")
def work(cluster: Cluster, api: AirflowApi) -> Workload:
    """Tasks for whichever pool a test wants to see at work."""
    return Workload(cluster, api, name="test")


@pytest.fixture(scope="module", autouse=True)
def rested(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whichever file comes next, it finds the cluster as a new one: without tasks, with idle pools at their minimum."""
    tests = [test for test in request.session.items if test.getparent(pytest.Module) is request.node]
    if not any("cluster" in getattr(test, "fixturenames", ()) for test in tests):
        yield
        return
    cluster, api = request.getfixturevalue("cluster"), request.getfixturevalue("api")
    yield
    rest(cluster, api)


def powered_on_at(node: Node) -> datetime:
    """When the machine was switched on."""
    return datetime.fromtimestamp(time.time() - time.monotonic() + node.powered_on, UTC)


def _launched_at(cluster: Cluster, node: Node) -> datetime:
    """When EC2 launched the instance. A busy machine powers its node on later."""
    answer = cluster.boto3("ec2").describe_instances(InstanceIds=[node.instance.id])
    return answer["Reservations"][0]["Instances"][0]["LaunchTime"]


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run at its end.

    Attributes:
        workers: the pool of each worker that was there then, by the worker's address.
        launches: when EC2 launched each of these workers, by its address.
        installations: what each of them says about how it has got Airflow, by its address.
    """

    dag_id: str
    run_id: str
    state: str
    tasks: list[dict[str, Any]]
    workers: dict[str, str]
    launches: dict[str, datetime]
    installations: dict[str, str]


@pytest.fixture(scope="session")
def everything(cluster: Cluster, api: AirflowApi) -> FinishedRun:
    """One run of the DAG that uses all that a cluster is for, at its end. Its workers stay until the file ends.

    It begins with one worker of `default` and none of `heavy`.
    """
    set_workers(cluster, default=1, heavy=0)
    connection = {"connection_id": "lab_connection", "conn_type": "http", "host": "lab", "password": "c%onn@:/#?"}
    cluster.put_secret("connections/secret_connection", json.dumps({"conn_type": "http", "password": "c%onn@:/#?"}))
    cluster.put_secret("variables/secret/word", "hidden")
    api.request("POST", "/api/v2/connections", connection)
    api.request("POST", "/api/v2/variables", {"key": "lab_word", "value": "lab"})
    api.wait_for_dag("everything")
    run_id = api.trigger("everything")
    state = api.wait_for_run("everything", run_id)
    set_minimum(cluster, "heavy", 1)
    workers = cluster.nodes(role="worker")
    return FinishedRun(
        dag_id="everything",
        run_id=run_id,
        state=state,
        tasks=api.task_instances("everything", run_id),
        workers={str(node.instance.address): node.instance.tags["airflow:pool"] for node in workers},
        launches={str(node.instance.address): _launched_at(cluster, node) for node in workers},
        installations={str(node.instance.address): node.journal("airflow-install.service") for node in workers},
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A failure brings along what the nodes say; the lab is gone by the time somebody reads it."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(cluster, Cluster):
        for node in cluster.nodes():
            try:
                said = node.exec(
                    "systemctl --failed --no-legend; journalctl --boot --no-pager --priority=warning --lines=60;"
                    "journalctl --boot --no-pager --unit=airflow-scaling --unit=airflow-lifecycle"
                    " --unit=airflow-health --lines=60"
                ).stdout
            except subprocess.TimeoutExpired:
                said = "it does not answer"
            report.sections.append((f"{node.name}: failed units, warnings and scaling", said))
    return report
