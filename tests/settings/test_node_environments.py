"""Which settings are part of a node's environment."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
from typing import Any

import pytest

from engine.program import deploy
from node.roles import MASTERS, worker_group
from node.user_data import user_data
from settings.errors import SettingsError
from tests.stack_file import ROOT, changed, content, faults_of, load, the_fault


def noise(digests: int) -> str:
    """Text that gzip can compress only by half: 64 characters for each digest."""
    return "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(digests))


TOO_MUCH = {"airflow:config": {"core": {"parallelism": 64}, "api": {"access_control_allow_origins": noise(600)}}}


def test_a_workers_environment_has_its_own_pool_and_queues():
    variables = load(content()).node_environment(worker_group("heavy")).variables()
    assert variables["NODE_POOL"] == "heavy"
    assert variables["NODE_QUEUES"] == "heavy"
    assert variables["NODE_GROUP"] == "airflow-prod-pool-heavy"
    assert variables["AIRFLOW__CELERY__WORKER_CONCURRENCY"] == "4"


def test_a_workers_environment_has_the_drain_settings_of_its_pool():
    variables = load(content()).node_environment(worker_group("heavy")).variables()
    assert variables["NODE_CONCURRENCY"] == "4"
    assert variables["NODE_IDLE_SECONDS"] == "60"
    assert variables["NODE_DRAIN_LIMIT_SECONDS"] == "86400"
    assert variables["NODE_HEARTBEAT_SECONDS"] == "960"
    assert (variables["NODE_LAUNCHING_HOOK"], variables["NODE_TERMINATING_HOOK"]) == (
        "role-is-ready",
        "worker-is-drained",
    )
    assert "NODE_POOLS" not in variables, "a change of another pool would replace this one's workers"
    assert load(content()).node_environment(worker_group("heavy")).pools == ()


def test_a_masters_environment_has_its_group_and_the_settings_of_every_pool():
    variables = load(content()).node_environment(MASTERS).variables()
    assert variables["NODE_GROUP"] == "airflow-prod-masters"
    assert variables["NODE_LAUNCHING_HOOK"] == "role-is-ready"
    assert not {"NODE_POOL", "NODE_TERMINATING_HOOK"} & variables.keys()
    assert json.loads(variables["NODE_POOLS"]) == {
        "default": {
            "group": "airflow-prod-pool-default",
            "queues": ["default"],
            "concurrency": 16,
            "idleSeconds": 60,
            "bootLeadSeconds": 180,
            "workersAhead": 8,
        },
        "heavy": {
            "group": "airflow-prod-pool-heavy",
            "queues": ["heavy"],
            "concurrency": 4,
            "idleSeconds": 60,
            "bootLeadSeconds": 180,
            "workersAhead": 4,
        },
    }


def test_the_order_of_the_pools_in_the_stack_file_replaces_no_node():
    config = content()
    config["airflow:workerPools"] = dict(reversed(config["airflow:workerPools"].items()))
    assert user_data(load(config).node_environment(MASTERS)) == user_data(load(content()).node_environment(MASTERS))


NEW_POOL = {"queues": ["gpu"], "instanceTypes": ["g5.xlarge"], "concurrency": 1, "minSize": 0, "maxSize": 1}


@pytest.mark.parametrize(
    ("change", "changed_workers"),
    [
        ({"airflow:workerPools.gpu": NEW_POOL}, set()),
        ({"airflow:workerPools.heavy.minSize": 1}, set()),
        ({"airflow:workerPools.heavy.maxSize": 5}, set()),
        ({"airflow:workerPools.heavy.workersAhead": 0}, set()),
        ({"airflow:workerPools.heavy.bootLeadSeconds": 60}, set()),
        ({"airflow:workerPools.heavy.spotPercent": 50}, set()),
        ({"airflow:workerPools.heavy.concurrency": 5}, {"heavy"}),
        ({"airflow:workerPools.heavy.idleSeconds": 61}, {"heavy"}),
        ({"airflow:workerPools.heavy.drainLimitHours": 25}, {"heavy"}),
        ({"airflow:workerPools.heavy.queues": ["heavy", "more"]}, {"heavy"}),
    ],
)
def test_a_change_of_a_pool_replaces_only_its_own_workers(change: dict[str, Any], changed_workers: set[str]):
    before, after = load(content()), load(changed(change))
    pools = {
        group.pool
        for group in map(worker_group, before.worker_pools)
        if user_data(before.node_environment(group)) != user_data(after.node_environment(group))
    }
    assert pools == changed_workers


@pytest.mark.parametrize(
    "change",
    [
        {"airflow:database.instanceClass": "db.m7g.xlarge"},
        {"airflow:broker.nodeType": "cache.m7g.xlarge"},
        {"airflow:retention.taskLogsDays": 30},
        {"aws:defaultTags.tags.Owner": "data"},
    ],
)
def test_a_change_elsewhere_does_not_change_the_nodes(change: dict[str, Any]):
    before, after = load(content()), load(changed(change))
    for group in before.node_groups:
        assert user_data(before.node_environment(group)) == user_data(after.node_environment(group))


def test_the_masters_environment_includes_a_new_pool():
    before, after = load(content()), load(changed({"airflow:workerPools.gpu": NEW_POOL}))
    assert user_data(before.node_environment(MASTERS)) != user_data(after.node_environment(MASTERS))


def test_the_buckets_in_a_nodes_environment_are_those_that_are_created():
    _, recording = deploy(lambda: runpy.run_path(str(ROOT / "__main__.py")), config=content())
    made = {bucket.inputs["bucket"] for bucket in recording.of_type("aws:s3/bucket:Bucket")}
    environment = load(content()).node_environment(MASTERS)
    assert {environment.task_logs_bucket, environment.dags_bucket, environment.artifacts_bucket} < made


def test_options_that_exceed_the_user_data_are_reported_with_the_other_faults():
    masters, too_much = faults_of({**TOO_MUCH, "airflow:masters.rootVolumeGib": 8})
    assert masters.key == "airflow:masters.rootVolumeGib"
    assert too_much.key == "airflow:config"
    assert re.search(r"the user data of the masters is \d\d,\d{3} bytes", too_much.given)
    assert "EC2 allows 16,384 bytes" in too_much.allowed
    assert too_much.remedy.startswith(
        "shorten the longest: airflow:config.api.access_control_allow_origins (38,400 characters), "
    )


def test_options_that_exceed_the_user_data_stop_the_program_before_its_first_resource():
    def refused() -> SettingsError:
        with pytest.raises(SettingsError) as refusal:
            runpy.run_path(str(ROOT / "__main__.py"))
        return refusal.value

    error, recording = deploy(refused, config=changed(TOO_MUCH))
    assert [fault.key for fault in error.faults] == ["airflow:config"]
    assert recording.resources == [], "Pulumi creates a resource as soon as it is registered"


def test_queues_that_exceed_the_user_data_are_a_fault_of_the_pool():
    text = noise(600)
    queues = ["heavy", *(text[start : start + 200] for start in range(0, len(text), 200))]
    fault = the_fault({"airflow:workerPools.heavy.queues": queues})
    assert fault.key == "airflow:workerPools.heavy.queues"
    assert "the user data of the masters is" in fault.given, "their user data has every pool"


def test_an_option_that_does_not_exist_does_not_count_towards_the_user_data():
    fault = the_fault({"airflow:config": {"core": {"parallellism": noise(600)}}})
    assert fault.remedy == "did you mean core.parallelism?", "removing it solves both"
