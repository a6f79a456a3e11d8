from __future__ import annotations

from typing import Any

import boto3
import pytest

from tests.node.programs import module

secrets_manager = module("secrets_manager")
aws_request = module("aws_request")
boot_step = module("boot_step")


@pytest.fixture
def client(aws_over_http: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Secrets Manager, and a program that does not wait between attempts."""
    monkeypatch.setattr(boot_step, "wait", lambda _: None)
    return aws_over_http.client("secretsmanager")


def test_a_secret_without_a_value_is_named(client: Any):
    client.create_secret(Name="airflow-prod/broker-url")
    with pytest.raises(boot_step.StepFailedError, match="the secret airflow-prod/broker-url does not exist or has no"):
        secrets_manager.read("airflow-prod/broker-url")


@pytest.mark.parametrize("value", [" ", "\n", " \r\n"])
def test_an_empty_secret_is_named(client: Any, value: str):
    client.create_secret(Name="airflow-prod/broker-url", SecretString=value)
    with pytest.raises(boot_step.StepFailedError, match="the secret airflow-prod/broker-url is empty"):
        secrets_manager.read("airflow-prod/broker-url")


def test_line_ends_around_a_pasted_value_are_removed(client: Any):
    client.create_secret(Name="airflow-prod/database-dsn", SecretString="postgresql://a:b@c/airflow\n")
    value = secrets_manager.read("airflow-prod/database-dsn")
    assert value == "postgresql://a:b@c/airflow", 'PostgreSQL would look for the database "airflow\\n"'


def test_a_refusal_is_retried_because_iam_is_eventually_consistent_and_then_reported(monkeypatch: pytest.MonkeyPatch):
    calls = []

    def refuse(secret: str) -> str:
        calls.append(secret)
        raise aws_request.AwsError("AccessDeniedException", "not you", 400)

    monkeypatch.setattr(boot_step, "wait", lambda _: None)
    monkeypatch.setattr(aws_request, "secret_value", refuse)
    with pytest.raises(boot_step.StepFailedError, match=r"airflow-prod/broker-url cannot be read: .*not you"):
        secrets_manager.read("airflow-prod/broker-url")
    assert len(calls) == 1 + len(boot_step.DELAYS_SECONDS)


@pytest.mark.usefixtures("client")
def test_the_error_for_a_missing_secret_of_the_operator_says_what_to_do():
    with pytest.raises(boot_step.StepFailedError, match="package-index does not exist or has no value: create it"):
        secrets_manager.read("package-index", remedy="create it")
