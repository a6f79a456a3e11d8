"""What of the settings lands on a node."""

from __future__ import annotations

import hashlib
import runpy
from typing import Any

import pytest

from node.user_data import user_data
from offline.engine import deploy
from setting_rules.faults import SettingsError
from tests.stack_file import ROOT, changed, content, faults_of, load, the_fault


def noise(digests: int) -> str:
    """Text that gzip can only halve: 64 characters for each digest."""
    return "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(digests))


TOO_MUCH = {"airflow:config": {"core": {"parallelism": 64}, "api": {"access_control_allow_origins": noise(600)}}}


def test_a_worker_knows_its_own_pool_and_queues():
    told = load(content()).node_environment("heavy").variables()
    assert told["NODE_POOL"] == "heavy"
    assert told["NODE_QUEUES"] == "heavy"
    assert told["NODE_GROUP"] == "airflow-prod-pool-heavy"
    assert told["AIRFLOW__CELERY__WORKER_CONCURRENCY"] == "4"


def test_a_master_knows_its_group_and_no_pool():
    told = load(content()).node_environment().variables()
    assert told["NODE_GROUP"] == "airflow-prod-masters"
    assert "NODE_POOL" not in told


@pytest.mark.parametrize(
    "change",
    [
        {"airflow:database.instanceClass": "db.m7g.xlarge"},
        {"airflow:broker.nodeType": "cache.m7g.xlarge"},
        {"airflow:retention.taskLogsDays": 30},
        {"aws:defaultTags.tags.Owner": "data"},
    ],
)
def test_a_change_elsewhere_leaves_the_nodes_alone(change: dict[str, Any]):
    before, after = load(content()), load(changed(change))
    for pool in (None, "default"):
        assert user_data(before.node_environment(pool)) == user_data(after.node_environment(pool))


def test_a_larger_pool_rolls_the_masters_that_fill_it_and_no_other_pool():
    before, after = load(content()), load(changed({"airflow:workerPools.heavy.maxSize": 5}))
    assert before.node_environment() != after.node_environment()
    assert before.node_environment("default") == after.node_environment("default")


def test_the_buckets_that_nodes_are_told_are_those_that_are_made():
    _, recording = deploy(lambda: runpy.run_path(str(ROOT / "__main__.py")), config=content())
    made = {bucket.inputs["bucket"] for bucket in recording.of_type("aws:s3/bucket:Bucket")}
    told = load(content()).node_environment()
    assert {told.task_logs_bucket, told.dags_bucket, told.artifacts_bucket} < made


def test_more_options_than_user_data_holds_are_a_fault_among_the_others():
    masters, too_much = faults_of({**TOO_MUCH, "airflow:masters.rootVolumeGib": 8})
    assert masters.key == "airflow:masters.rootVolumeGib"
    assert too_much.key == "airflow:config"
    assert "the user data of the masters is 31," in too_much.given
    assert "EC2 takes 16,384 bytes" in too_much.allowed
    assert too_much.remedy.startswith(
        "shorten the longest: airflow:config.api.access_control_allow_origins (38,400 characters), "
    )


def test_more_options_than_user_data_holds_stop_the_program_before_its_first_resource():
    def refused() -> SettingsError:
        with pytest.raises(SettingsError) as refusal:
            runpy.run_path(str(ROOT / "__main__.py"))
        return refusal.value

    error, recording = deploy(refused, config=changed(TOO_MUCH))
    assert [fault.key for fault in error.faults] == ["airflow:config"]
    assert recording.resources == [], "what is registered by then is already being created"


def test_more_queues_than_user_data_holds_are_the_pools_fault():
    text = noise(600)
    queues = ["heavy", *(text[start : start + 200] for start in range(0, len(text), 200))]
    fault = the_fault({"airflow:workerPools.heavy.queues": queues})
    assert fault.key == "airflow:workerPools.heavy.queues"
    assert "the user data of the masters is" in fault.given, "they are told of every pool"


def test_an_option_that_does_not_exist_is_not_reckoned_with():
    fault = the_fault({"airflow:config": {"core": {"parallellism": noise(600)}}})
    assert fault.remedy == "did you mean core.parallelism?", "removing it mends both"
