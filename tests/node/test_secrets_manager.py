from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.node.fake_server import Answer, serving
from tests.node.programs import module

secrets_manager = module("airflow_node.secrets_manager")
aws_request = module("airflow_node.aws_request")
boot_step = module("airflow_node.boot_step")


@pytest.fixture
def client(aws_over_http: boto3.Session) -> Any:
    """Secrets Manager."""
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


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Iterator[list[Answer]]:
    """The responses of a substitute for Secrets Manager; the last one is repeated."""
    assert waits == []
    answers: list[Answer] = []
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    keys = module("airflow_node.metadata_service").Credentials(key="AKID", secret="secret", token="token")
    monkeypatch.setattr(module("airflow_node.metadata_service"), "credentials", lambda *_: keys)
    with serving(lambda _: answers.pop(0) if len(answers) > 1 else answers[0]) as server:
        monkeypatch.setattr(aws_request, "endpoint", lambda _: server.url)
        yield answers


WHOLE = Answer(200, b'{"SecretString": "hush"}', {"Content-Length": "24"})
HALVES = {
    "by its length": Answer(200, b'{"SecretStr', {"Content-Length": "24"}),
    "by its text": Answer(200, b'{"SecretString": "hus'),
    "in a refusal": Answer(503, b"<Err", {"Content-Length": "100"}),
}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_an_answer_that_breaks_off_is_asked_for_again(
    service: list[Answer], half: Answer, capsys: pytest.CaptureFixture[str]
):
    service += [half, half, WHOLE]
    assert secrets_manager.read("airflow-prod/broker-url") == "hush"
    assert "The secret airflow-prod/broker-url: " in capsys.readouterr().out


def test_a_refusal_is_waited_out_for_two_minutes_for_a_new_role_is_not_known_everywhere(
    service: list[Answer], waits: list[float]
):
    service.append(Answer(400, b'{"__type": "x#AccessDeniedException", "message": "not you"}'))
    with pytest.raises(boot_step.StepFailedError, match=r"airflow-prod/broker-url cannot be read: .*not you"):
        secrets_manager.read("airflow-prod/broker-url")
    assert 120 <= sum(waits) <= 150


@pytest.mark.usefixtures("client")
def test_the_error_for_a_missing_secret_of_the_operator_says_what_to_do():
    with pytest.raises(boot_step.StepFailedError, match="package-index does not exist or has no value: create it"):
        secrets_manager.read("package-index", remedy="create it")
