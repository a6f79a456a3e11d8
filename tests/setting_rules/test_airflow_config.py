"""What `airflow:config` may set."""

from __future__ import annotations

import pytest

from node.environment import MANAGED_OPTIONS
from node.roles import SECRETS
from setting_rules import airflow_config
from setting_rules.faults import SettingsError
from tests.stack_file import changed, faults_of, load, the_fault


def test_options_that_airflow_has_are_accepted():
    options = {"core": {"parallelism": 64, "load_examples": True}, "operators": {"default_queue": "default"}}
    assert load(changed({"airflow:config": options})).config == options


def test_an_option_that_does_not_exist_is_answered_with_the_nearest_one():
    fault = the_fault({"airflow:config": {"core": {"paralelism": 64}}})
    assert fault.key == "airflow:config.core.paralelism"
    assert fault.remedy == "did you mean core.parallelism?"


def test_an_option_of_an_older_airflow_is_answered_with_where_it_went():
    assert the_fault({"airflow:config": {"webserver": {"base_url": "x"}}}).remedy == (
        "if api.base_url was meant: set airflow:web.domain"
    )


@pytest.mark.parametrize(
    ("section", "option", "remedy"),
    [
        ("core", "execter", "if core.executor was meant: leave it out; the program gives it the value that fits"),
        ("celery", "worker_concurency", "if celery.worker_concurrency was meant: set concurrency of the pool in "),
        ("core", "fernet_keyy", "if core.fernet_key was meant: leave it out; keep the secret in an Airflow connection"),
        ("database", "sql_alchemy_con", "if database.sql_alchemy_conn was meant: leave it out: the program makes"),
    ],
)
def test_no_option_is_offered_that_would_be_refused_as_well(section: str, option: str, remedy: str):
    assert the_fault({f"airflow:config.{section}": {option: "x"}}).remedy.startswith(remedy)


def test_options_are_written_in_lower_case():
    assert the_fault({"airflow:config": {"Core": {"Parallelism": 64}}}).remedy == "did you mean core.parallelism?"


@pytest.mark.parametrize("value", [{"a": 1}, [64], None, "6\n4"])
def test_an_option_of_the_wrong_kind_hides_no_other_fault(value: object):
    options = {
        "core": {"parallelism": value, "paralelism": 1, "fernet_key": "x"},
        "celery": {"worker_concurrency": 8},
        "api": {"workers": 100},
    }
    assert {fault.key for fault in faults_of({"airflow:config": options})} == {
        "airflow:config.core.parallelism",
        "airflow:config.core.paralelism",
        "airflow:config.core.fernet_key",
        "airflow:config.celery.worker_concurrency",
        "airflow:database.instanceClass",
    }, "a hundred api-server processes on each master need more connections than the database has"


def test_a_section_of_the_wrong_kind_hides_no_other_fault():
    faults = faults_of({"airflow:config": {"core": "fast", "api": {"workers": 0}}})
    assert [fault.key for fault in faults] == ["airflow:config.core", "airflow:config.api.workers"]


@pytest.mark.parametrize(
    "options", [{"database": {"sql_alchemy_pool_size": []}}, {"operators": {"default_queue": []}}, {"operators": 1}]
)
def test_a_rule_is_silent_about_an_option_that_is_at_fault_itself(options: dict[str, object]):
    changes = {"airflow:config": options, "airflow:workerPools.default.queues": ["light"]}
    if "database" in options:
        changes = {"airflow:config": options, "airflow:workerPools.default.maxSize": 40}
    (section,) = options
    assert the_fault(changes).key.startswith(f"airflow:config.{section}")


def test_a_password_for_an_option_that_does_not_exist_is_sent_to_a_connection():
    fault = the_fault({"airflow:config": {"smtp": {"smtp_password": "hunter2"}}})
    assert "an Airflow connection" in fault.remedy
    assert "hunter2" not in str(fault)


def test_an_option_unlike_any_is_to_be_removed():
    assert the_fault({"airflow:config": {"zzzzzz": {"qqqqqqq": 1}}}).remedy == "remove it"


@pytest.mark.parametrize(("section", "option"), sorted(MANAGED_OPTIONS))
def test_an_option_that_the_program_sets_is_refused(section: str, option: str):
    fault = the_fault({f"airflow:config.{section}": {option: "x"}})
    assert fault.given == "an option that the program sets itself"


def test_concurrency_is_the_pools_to_set():
    fault = the_fault({"airflow:config": {"celery": {"worker_concurrency": 8}}})
    assert fault.remedy == "set concurrency of the pool in airflow:workerPools"


@pytest.mark.parametrize("variable", sorted({name for names in SECRETS.values() for name in names.values()}))
def test_a_secret_of_a_service_is_refused_unseen(variable: str):
    _, section, option = variable.lower().split("__")
    with pytest.raises(SettingsError) as refusal:
        load(changed({"airflow:config": {section: {option: "hunter2"}}}))
    assert [fault.key for fault in refusal.value.faults] == [f"airflow:config.{section}.{option}"]
    assert "hunter2" not in str(refusal.value), "the report ends in the log of a pull request"


@pytest.mark.parametrize(("section", "option"), sorted(airflow_config.POOL_OPTIONS))
@pytest.mark.parametrize(
    ("value", "remedy"),
    [(-1, "or more; less would mean without limit"), *((value, "write it in digits") for value in ("five", 2.5, True))],
)
def test_a_pool_of_connections_has_a_limit(section: str, option: str, value: object, remedy: str):
    fault = the_fault({"airflow:config": {section: {option: value}}})
    assert fault.key == f"airflow:config.{section}.{option}"
    assert "a whole number from" in fault.allowed
    assert remedy in fault.remedy


def test_the_largest_overflow_may_be_none():
    assert faults_of({"airflow:config": {"database": {"sql_alchemy_max_overflow": 0}}}) == ()
