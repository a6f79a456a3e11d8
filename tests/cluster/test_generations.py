"""Two masters of different settings, as in every refresh that changes a pool: one of them scales."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab import service_log
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Workload, describe
from tests.cluster.worker_pools import sizes

ENVIRONMENT = "/etc/airflow/airflow.env"
SECONDS = 25
"""Two passes of each master."""
TASKS = 3


@dataclass(frozen=True, kw_only=True)
class Masters:
    old: Node
    new: Node


@pytest.fixture
def masters(cluster: Cluster) -> Iterator[Masters]:
    """The old one, of an earlier version of the launch template, believes that a worker runs one task at a time."""
    cluster.wait_ready()
    old, new = cluster.nodes(role="master")
    version = cluster.launched_from(old)
    edit = r"/^NODE_POOLS=/s/(concurrency[^0-9]+)[0-9]+/\11/g"
    cluster.set_launched_from(old, "0")
    old.exec(f"cp -p {ENVIRONMENT} {ENVIRONMENT}.before && sed -Ei '{edit}' {ENVIRONMENT}")
    assert old.exec("systemctl", "restart", service_log.SCALING).returncode == 0
    yield Masters(old=old, new=new)
    cluster.set_launched_from(old, version)
    old.exec("mv", f"{ENVIRONMENT}.before", ENVIRONMENT)
    assert old.exec("systemctl", "restart", service_log.SCALING).returncode == 0


def test_while_a_refresh_has_masters_of_two_settings_the_new_one_scales_alone(
    cluster: Cluster, work: Workload, masters: Masters
) -> None:
    assert "concurrency" in masters.old.exec(f"diff {ENVIRONMENT}.before {ENVIRONMENT}").stdout
    cluster.wait(
        lambda: "leaves the pools to the masters of another" in masters.old.journal(service_log.SCALING),
        "the old master to leave the pools to the new one",
    )
    left_at = time.time()
    before = sizes(cluster, "default")["DesiredCapacity"]
    runs = work.start("default", SECONDS, number=TASKS)
    tasks = work.wait_ended(runs)
    assert {task.state for task in tasks} == {"success"}, describe(tasks)
    assert sizes(cluster, "default")["DesiredCapacity"] == before, "the old one would have asked for a worker per task"

    def decided(*by: Node) -> list[dict[str, Any]]:
        """What these masters have decided since then."""
        found = [event for master in by for event in service_log.events(master, service_log.SCALING)]
        return [event.fields for event in found if event.name == "decision" and event.at.timestamp() > left_at]

    # An unchanged pool is logged once a minute.
    of_pool = cluster.wait(
        lambda: [fields for fields in decided(masters.new) if fields["pool"] == "default"],
        "a decision of the new master",
    )
    assert decided(masters.old) == []
    [new, *_] = of_pool
    assert new["workers"] == {"working": before}, "the reports of the instances that the group lists"
