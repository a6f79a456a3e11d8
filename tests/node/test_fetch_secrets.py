from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import boto3
import pytest

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
