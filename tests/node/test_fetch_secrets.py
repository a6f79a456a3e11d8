from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import boto3
import pytest

from node.dag_bundles import KNOWN_HOSTS_FILE
from node.environment import NodeEnvironment, assignment
from tests.node.environment_file import parse
from tests.node.environments import BOTH, MASTER, WORKER
from tests.node.programs import load

fetch_secrets = load("fetch-secrets")
HOSTILE = "p%41@:/#?w& d'\"`$HOME\\ \\n;é"


@pytest.fixture
def client(aws_over_http: boto3.Session) -> Any:
    """Secrets Manager."""
    return aws_over_http.client("secretsmanager")


def _listed(environment: NodeEnvironment, variable: str = "NODE_SECRETS") -> str:
    return environment.variables()[variable]


def _create_all(client: Any, listed: str, value: str = HOSTILE) -> None:
    for item in listed.split():
        client.create_secret(Name=item.partition("=")[2], SecretString=value)


@pytest.mark.parametrize("environment", BOTH, ids=["master", "worker"])
def test_values_reach_the_services_unchanged(client: Any, environment: NodeEnvironment, tmp_path: Path):
    _create_all(client, _listed(environment))
    fetch_secrets.fetch(_listed(environment), tmp_path / "secrets.env")
    values = parse((tmp_path / "secrets.env").read_text())
    assert values == {item.partition("=")[0]: HOSTILE for item in _listed(environment).split()}


def test_only_root_can_read_the_file(client: Any, tmp_path: Path):
    _create_all(client, _listed(WORKER))
    fetch_secrets.fetch(_listed(WORKER), tmp_path / "secrets.env")
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "secrets.env"], "no half-written file stays behind"


def test_no_value_is_logged(client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    _create_all(client, _listed(WORKER))
    outcome = fetch_secrets.fetch(_listed(WORKER), tmp_path / "secrets.env")
    assert HOSTILE not in outcome + capsys.readouterr().out


def test_a_missing_secret_is_named_and_nothing_is_written(client: Any, tmp_path: Path):
    listed = _listed(WORKER)
    _create_all(client, listed.replace("AIRFLOW__API__SECRET_KEY=airflow-prod/api-secret-key", ""))
    with pytest.raises(fetch_secrets.StepFailedError, match="the secret airflow-prod/api-secret-key does not exist"):
        fetch_secrets.fetch(listed, tmp_path / "secrets.env")
    assert not (tmp_path / "secrets.env").exists()


KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n"
GIT = "AIRFLOW_CONN_GIT_FINANCE"


def _connection(client: Any, tmp_path: Path, secret: str) -> Any:
    """Airflow's connection to a repository as it reaches the services; None without one."""
    client.create_secret(Name="finance/git", SecretString=secret)
    fetch_secrets.fetch(f"{GIT}=finance/git", tmp_path / "secrets.env")
    value = parse((tmp_path / "secrets.env").read_text()).get(GIT)
    return None if value is None else json.loads(value)


def test_a_deploy_key_becomes_a_connection_that_checks_the_host(client: Any, tmp_path: Path):
    assert _connection(client, tmp_path, KEY) == {
        "conn_type": "git",
        "extra": {
            "private_key": KEY,
            "strict_host_key_checking": "yes",
            "known_hosts_file": KNOWN_HOSTS_FILE,
        },
    }


def test_a_token_becomes_a_connection(client: Any, tmp_path: Path):
    secret = json.dumps({"username": "ann", "password": HOSTILE})
    assert _connection(client, tmp_path, secret) == {"conn_type": "git", "login": "ann", "password": HOSTILE}


@pytest.mark.parametrize("secret", ["ghp_hunter2", '{"token": "hunter2"}', "{}"])
def test_unusable_credentials_of_one_team_are_told_and_stop_no_node(
    client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], secret: str
):
    assert _connection(client, tmp_path, secret) is None
    said = capsys.readouterr().out
    assert f"The DAG bundle of {GIT} has no credentials: the secret finance/git cannot be used" in said
    assert "hunter2" not in said


def test_missing_credentials_of_one_team_are_told_and_stop_no_node(
    client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    client.create_secret(Name="other", SecretString="there")
    fetch_secrets.fetch(f"OTHER=other {GIT}=finance/git", tmp_path / "secrets.env")
    assert parse((tmp_path / "secrets.env").read_text()) == {"OTHER": "there"}
    assert "the secret finance/git does not exist or has no value: create it" in capsys.readouterr().out


def _point_to_admin(client: Any, admin: str) -> str:
    arn = client.create_secret(Name="rds!db-1", SecretString=admin)["ARN"]
    return json.dumps({"host": "airflow-prod-metadata.rds.example", "port": 5432, "secretArn": arn})


def test_the_database_step_gets_the_admin_that_rds_manages(client: Any, tmp_path: Path):
    pointer = _point_to_admin(client, json.dumps({"username": "root", "password": HOSTILE}))
    client.create_secret(Name="airflow-prod/database-admin", SecretString=pointer)
    client.create_secret(Name="airflow-prod/admin-password", SecretString=HOSTILE)
    fetch_secrets.fetch(_listed(MASTER, "NODE_BOOTSTRAP_SECRETS"), tmp_path / "database.env")
    values = parse((tmp_path / "database.env").read_text())
    assert values["NODE_ADMIN_PASSWORD"] == HOSTILE
    assert json.loads(values["NODE_DATABASE_ADMIN"]) == {
        "host": "airflow-prod-metadata.rds.example",
        "port": 5432,
        "username": "root",
        "password": HOSTILE,
    }


@pytest.mark.usefixtures("client")
def test_an_invalid_pointer_is_reported_without_its_value():
    with pytest.raises(fetch_secrets.StepFailedError, match="airflow-prod/database-admin must be JSON") as failure:
        fetch_secrets.follow("airflow-prod/database-admin", HOSTILE)
    assert HOSTILE not in str(failure.value)


def test_secrets_are_quoted_like_the_other_variables():
    assert fetch_secrets.assignment("NAME", HOSTILE) == assignment("NAME", HOSTILE)
