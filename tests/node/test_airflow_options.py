from __future__ import annotations

import pytest

from node import airflow_options


@pytest.mark.parametrize(
    "option",
    [
        ("core", "parallelism"),
        ("celery", "worker_concurrency"),
        ("fab", "cookie_secure"),
        ("execution_api", "jwt_audience"),
    ],
    ids=lambda option: ".".join(option),
)
def test_options_of_airflow_and_of_its_providers_are_known(option: tuple[str, str]):
    assert airflow_options.exists(*option)


def test_an_option_that_airflow_3_has_removed_is_not_known():
    assert not airflow_options.exists("webserver", "web_server_port")
    assert not airflow_options.exists("scheduler", "dag_dir_list_interval")


def test_values_that_are_secrets_are_known_as_such():
    assert airflow_options.sensitive("database", "sql_alchemy_conn")
    assert airflow_options.sensitive("celery", "broker_url")
    assert not airflow_options.sensitive("core", "parallelism")
    assert not airflow_options.sensitive("no", "such")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (("core", "paralelism"), ("core", "parallelism")),
        (("cor", "parallelism"), ("core", "parallelism")),
        (("webserver", "secret_key"), ("api", "secret_key")),
        (("webserver", "port"), ("api", "port")),
        (("scheduler", "dag_dir_list_intervall"), None),
    ],
)
def test_the_nearest_option_is_proposed(given: tuple[str, str], found: tuple[str, str] | None):
    nearest = airflow_options.nearest(*given)
    if found:
        assert nearest == found
    else:
        assert nearest is None or airflow_options.exists(*nearest)


def test_nothing_is_proposed_where_nothing_is_near():
    assert airflow_options.nearest("zzz", "qqqqqqqq") is None
