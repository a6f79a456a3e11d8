from __future__ import annotations

import pytest

from node.airflow_options import lookup


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
    assert lookup.exists(*option)


def test_an_option_that_airflow_3_has_removed_is_not_known():
    assert not lookup.exists("webserver", "web_server_port")
    assert not lookup.exists("scheduler", "dag_dir_list_interval")


def test_values_that_are_secrets_are_known_as_such():
    assert lookup.sensitive("database", "sql_alchemy_conn")
    assert lookup.sensitive("celery", "broker_url")
    assert not lookup.sensitive("core", "parallelism")
    assert not lookup.sensitive("no", "such")


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
def test_the_most_similar_option_is_proposed(given: tuple[str, str], found: tuple[str, str] | None):
    nearest = lookup.nearest(*given)
    if found:
        assert nearest == found
    else:
        assert nearest is None or lookup.exists(*nearest)


def test_nothing_is_proposed_if_no_option_is_similar():
    assert lookup.nearest("zzz", "qqqqqqqq") is None
