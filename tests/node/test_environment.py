from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.airflow_options import lookup
from node.environment import LOCKED_OPTIONS, NodeEnvironment, PackageIndex, assignment
from node.roles import Role
from node.rootfs import files_for
from tests.node.environment_file import parse
from tests.node.environments import BOTH, MASTER, WORKER, master, worker
from tests.node.programs import module, program_path

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.MultiAZSingleStandby.html
LONGEST_FAILOVER_SECONDS = 120
API_TIMEOUT_SECONDS = 5.0
"""Airflow's [workers] execution_api_timeout"""
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(TEXT)
def test_any_value_reaches_the_process_unchanged(value: str):
    assert parse(assignment("NAME", value)) == {"NAME": value}


def test_a_nul_character_is_refused():
    with pytest.raises(ValueError, match="NAME contains a NUL character"):
        assignment("NAME", "a\0b")


@pytest.mark.parametrize("environment", BOTH, ids=["master", "worker"])
def test_the_file_holds_exactly_the_variables(environment: NodeEnvironment):
    assert parse(environment.render()) == environment.variables()


@pytest.mark.parametrize("environment", [master(task_slots=200), worker(task_slots=200)], ids=["master", "worker"])
def test_every_airflow_option_we_set_exists_in_the_pinned_airflow(environment: NodeEnvironment):
    unknown = [pair for pair in environment.airflow_options() if not lookup.exists(*pair)]
    assert not unknown, "Airflow ignores a variable it does not know without a word"


@pytest.mark.parametrize("environment", BOTH, ids=["master", "worker"])
def test_no_secret_is_rendered(environment: NodeEnvironment):
    sensitive = [pair for pair in environment.airflow_options() if lookup.sensitive(*pair)]
    assert not sensitive, "user data is readable to whoever may describe a launch template"


def test_a_workers_file_names_no_secret_that_it_may_not_read():
    text = WORKER.render()
    for word in (
        "database-dsn",
        "fernet",
        "jwt-secret",
        "JWT_SECRET",
        "flask-secret",
        "FLASK_SECRET",
        "SQL_ALCHEMY_CONN",
        "admin",
    ):
        assert word not in text


@pytest.mark.parametrize("environment", BOTH, ids=["master", "worker"])
def test_the_secrets_of_the_services_are_listed_by_variable_and_name(environment: NodeEnvironment):
    listed = dict(item.split("=") for item in environment.variables()["NODE_SECRETS"].split())
    assert listed == {variable: f"airflow-prod/{key}" for key, variable in environment.role.definition.secrets.items()}


def test_the_users_options_win_over_our_defaults():
    chosen = worker(config={"core": {"default_task_retries": 3}, "scheduler": {"task_queued_timeout": 60.5}})
    assert chosen.variables()["AIRFLOW__CORE__DEFAULT_TASK_RETRIES"] == "3"
    assert chosen.variables()["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"] == "60.5"


def test_the_users_options_do_not_win_over_what_the_parts_rely_on():
    chosen = worker(config={"celery": {"worker_concurrency": 99}, "core": {"executor": "LocalExecutor"}})
    assert chosen.variables()["AIRFLOW__CELERY__WORKER_CONCURRENCY"] == "16"
    assert chosen.variables()["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"


def test_exactly_the_locked_options_win_over_the_users():
    for environment in BOTH:
        locked = {
            pair
            for pair in LOCKED_OPTIONS & environment.airflow_options()
            if dataclasses.replace(environment, config={pair[0]: {pair[1]: "mine"}}).options()[pair] != "mine"
        }
        assert locked == LOCKED_OPTIONS & environment.airflow_options()


def test_workers_and_masters_have_the_same_heartbeat_interval():
    name = "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"
    assert MASTER.variables()[name] == WORKER.variables()[name], "a worker takes its heartbeat's interval from it"


def test_running_tasks_survive_a_failover_of_the_database():
    variables = WORKER.variables()
    timeout = int(variables["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"])
    longest = float(variables["AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX"])
    assert LONGEST_FAILOVER_SECONDS + longest + 30 <= timeout, (
        "a scheduler that is back fails every task whose heartbeat is older"
    )
    attempts = int(variables["AIRFLOW__WORKERS__EXECUTION_API_RETRIES"])
    # Airflow waits at random between one second and 1, 2, 4, ... seconds, up to the longest.
    waits = [(1 + min(2**attempt, longest)) / 2 for attempt in range(attempts - 1)]
    longest_call = sum(waits) + attempts * API_TIMEOUT_SECONDS
    assert longest_call < module("lost_tasks.search").TAKEN_SECONDS, (
        "a start is asked again: who waits for it is not lost"
    )
    calls = int(variables["AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS"])
    assert sum(waits) > LONGEST_FAILOVER_SECONDS, "what the task asks for fails"
    assert calls * sum(waits) < timeout, "the worker still runs a task that was given up, and may run elsewhere"


def test_a_task_may_run_longer_than_a_worker_waits_before_its_message_is_redelivered():
    seconds = int(WORKER.variables()["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"])
    assert seconds > 48 * 3600, "a worker that leaves may finish its tasks for 47 hours"


def test_a_task_may_wait_for_a_worker_as_long_as_the_longest_task_runs():
    variables = MASTER.variables()
    assert float(variables["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"]) >= 24 * 3600, (
        "the token that a task starts with lives as long: later the API refuses it, and the task has failed"
    )
    assert int(variables["AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES"]) >= 1000, "waiting is no failure"


def test_a_task_whose_message_is_lost_is_queued_again_within_a_minute():
    seconds = float(MASTER.variables()["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL"])
    assert seconds <= 60, "the scheduler's turn, once the message is known to be lost"


def test_each_role_has_the_celery_configuration_that_it_can_import():
    assert MASTER.variables()["AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS"] == "node_celery.CONFIG"
    assert WORKER.variables()["AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS"] == "worker_celery.CONFIG"
    for environment in BOTH:
        module, _, name = environment.variables()["AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS"].rpartition(".")
        folder = environment.variables()["PYTHONPATH"]
        (file,) = [file for file in files_for(environment.role) if file.path == f"{folder}/{module}.py"]
        assert re.search(rf"^{name}\b.* = ", file.content.decode(), re.MULTILINE)


def test_forwarding_headers_are_trusted_from_the_vpc_only():
    assert MASTER.variables()["FORWARDED_ALLOW_IPS"] == "10.80.0.0/16"
    assert "FORWARDED_ALLOW_IPS" not in WORKER.variables()


def test_forwarding_headers_are_trusted_from_every_range_of_the_vpc():
    """As uvicorn parses it; tests/cluster/test_boot.py uses the real one."""
    ranges = ("10.80.0.0/16", "100.64.0.0/16")
    assert master(vpc_cidrs=ranges).variables()["FORWARDED_ALLOW_IPS"] == "10.80.0.0/16,100.64.0.0/16"


def test_cookies_are_secure_where_the_ui_is_https():
    assert master(secure_cookies=True).variables()["AIRFLOW__FAB__COOKIE_SECURE"] == "True"


def test_tls_to_postgresql_is_verified_by_environment_and_to_the_broker_by_option():
    for environment in BOTH:
        variables = environment.variables()
        assert variables["PGSSLMODE"] == "verify-full"
        assert variables["AIRFLOW__CELERY__SSL_ACTIVE"] == "True", "a bare rediss:// verifies nothing"
        assert variables["AIRFLOW__CELERY__SSL_MUTUAL_TLS"] == "False"


def test_each_scheduler_alone_can_fill_every_worker():
    variables = master(task_slots=144).variables()
    assert variables["AIRFLOW__CORE__PARALLELISM"] == "144"
    assert variables["AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT"] == "144"


def test_the_dags_are_releases_in_the_bucket():
    (bundle,) = json.loads(WORKER.variables()["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert bundle["kwargs"] == {"bucket_name": WORKER.dags_bucket}
    module, class_ = bundle["classpath"].split(".")
    assert f"class {class_}(" in program_path(f"python/{module}.py").read_text()


def test_no_clean_up_but_the_nodes_own_removes_releases():
    variables = master(config={"dag_processor": {"stale_bundle_cleanup_interval": 60}}).variables()
    assert variables["AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_INTERVAL"] == "0", (
        "killed halfway, it leaves half a release where a whole one is expected"
    )


def test_every_master_fetches_the_dags_by_its_own_clock():
    variables = master(config={"dag_processor": {"refresh_interval": 30}}).variables()
    assert variables["AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL"] == "0", (
        "above zero, a master that has fetched the DAGs keeps the others from it for that time, again and again"
    )


def test_masters_know_how_long_to_keep_the_metadata():
    assert master(metadata_days=90).variables()["NODE_METADATA_DAYS"] == "90"
    assert "NODE_METADATA_DAYS" not in WORKER.variables(), "a change must not replace workers"


def test_only_a_worker_has_queues():
    assert parse(WORKER.render())["NODE_QUEUES"] == "default,reports"
    assert "NODE_QUEUES" not in MASTER.variables()
    assert MASTER.role is Role.MASTER


@pytest.mark.parametrize("environment", BOTH, ids=["master", "worker"])
def test_without_a_package_index_its_variables_are_absent(environment: NodeEnvironment):
    assert not [name for name in environment.variables() if "INDEX" in name or "PYPI" in name]


@pytest.mark.parametrize("make", [master, worker])
def test_nodes_get_the_url_of_the_package_index_and_the_name_of_its_secret(make: Callable[..., NodeEnvironment]):
    index = PackageIndex(url="https://packages.example.com/simple/", credentials_secret="package-index", pypi=False)
    variables = make(package_index=index).variables()
    assert variables["NODE_PACKAGE_INDEX"] == "https://packages.example.com/simple/"
    assert (variables["NODE_PACKAGE_INDEX_SECRET"], variables["NODE_PYPI"]) == ("package-index", "false")
