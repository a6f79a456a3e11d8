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
    assert the_fault({"airflow:config": {"webserver": {"base_url": "x"}}}).remedy == "did you mean api.base_url?"


def test_options_are_written_in_lower_case():
    assert the_fault({"airflow:config": {"Core": {"Parallelism": 64}}}).remedy == "did you mean core.parallelism?"


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
@pytest.mark.parametrize("value", [-1, "many", 2.5, True])
def test_a_pool_of_connections_has_a_limit(section: str, option: str, value: object):
    fault = the_fault({"airflow:config": {section: {option: value}}})
    assert fault.key == f"airflow:config.{section}.{option}"
    assert "a whole number from" in fault.allowed


def test_the_largest_overflow_may_be_none():
    assert faults_of({"airflow:config": {"database": {"sql_alchemy_max_overflow": 0}}}) == ()
