"""The arguments of the backend for connections and variables."""

from __future__ import annotations

import json

import pytest

from settings.sections.airflow_config.secrets_backend import ARGUMENTS
from tests.node.programs import program_path
from tests.stack_file import faults_of, the_fault


def _config(section: str, **options: object) -> dict[str, object]:
    return {"airflow:config": {section: options}}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"connections_lookup_pattern": "^(snowflake|smtp)_", "variables_lookup_pattern": None},
        {"cache_seconds": 0, "extra_conn_words": {"schema": ["dbname"]}},
    ],
)
def test_the_backends_own_arguments_are_accepted(arguments: dict[str, object]):
    assert faults_of(_config("secrets", backend_kwargs=json.dumps(arguments))) == ()


@pytest.mark.parametrize(
    ("arguments", "given", "remedy"),
    [
        ({"connection_lookup_pattern": "x"}, "the argument connection_lookup_pattern", "remove connection_lookup_p"),
        ({"variables_prefix": "x"}, "the argument variables_prefix", "remove variables_prefix: the names begin with"),
        ({"connections_lookup_pattern": "("}, 'connections_lookup_pattern: "("', "correct connections_lookup_pattern"),
        ({"variables_lookup_pattern": ["x"]}, "variables_lookup_pattern: ", "correct variables_lookup_pattern"),
        ({"cache_seconds": "5m"}, 'cache_seconds: "5m"', "correct cache_seconds"),
        ({"cache_seconds": -1}, "cache_seconds: -1", "correct cache_seconds"),
        ({"cache_seconds": True}, "cache_seconds: true", "correct cache_seconds"),
        ({"extra_conn_words": {"schema": "dbname"}}, "extra_conn_words: ", "correct extra_conn_words"),
    ],
)
def test_an_argument_that_would_stop_every_master_is_refused(arguments: dict[str, object], given: str, remedy: str):
    fault = the_fault(_config("secrets", backend_kwargs=json.dumps(arguments)))
    assert fault.key == "airflow:config.secrets.backend_kwargs"
    assert fault.given.startswith(given)
    assert fault.remedy.startswith(remedy)


def test_all_faults_of_the_arguments_are_shown_at_once():
    arguments = {"cache_seconds": -1, "prefix": "x", "variables_lookup_pattern": "["}
    assert len(faults_of(_config("secrets", backend_kwargs=json.dumps(arguments)))) == 3


@pytest.mark.parametrize("backend", ["airflow.providers.hashicorp.secrets.vault.VaultBackend", ""])
def test_arguments_of_another_backend_are_not_checked(backend: str):
    assert faults_of(_config("secrets", backend=backend, backend_kwargs='{"url": "https://vault"}')) == ()


def test_arguments_for_tasks_need_a_backend_for_tasks():
    fault = the_fault(_config("workers", secrets_backend_kwargs='{"url": "https://vault"}'))
    assert fault.key == "airflow:config.workers.secrets_backend_kwargs"
    assert "set workers.secrets_backend too" in fault.remedy


def test_the_backend_has_the_arguments_that_are_accepted():
    """The others are those of Airflow's class, from which it inherits."""
    source = program_path("python/node_secrets.py").read_text()
    assert "cache_seconds: float = CACHE_SECONDS, **arguments" in source
    assert set(ARGUMENTS) == {
        "cache_seconds",
        "connections_lookup_pattern",
        "variables_lookup_pattern",
        "extra_conn_words",
    }
