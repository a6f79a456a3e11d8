"""The backend on Airflow's classes where Airflow is installed, elsewhere on some that do the same."""

from __future__ import annotations

import importlib.util
import logging
import re
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from tests.node import airflow_secrets
from tests.node.programs import load

AIRFLOW = importlib.util.find_spec("airflow") is not None
POSTGRES = "postgres://user:p%40ss@db.corp:5432/sales"


class Secrets:
    """Secrets Manager, and what the backend asks of it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.asked: list[str] = []
        self.failure: Exception | None = None
        self.gate: threading.Event | None = None
        client.meta.events.register("before-parameter-build.secretsmanager.GetSecretValue", self._ask)

    def _ask(self, params: dict[str, str], **_: object) -> None:
        self.asked.append(params["SecretId"])
        if self.gate is not None:
            self.gate.wait(10)
        if self.failure is not None:
            raise self.failure

    def put(self, name: str, value: str) -> None:
        self.client.create_secret(Name=f"airflow-prod/{name}", SecretString=value)

    def change(self, name: str, value: str) -> None:
        self.client.put_secret_value(SecretId=f"airflow-prod/{name}", SecretString=value)


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if not AIRFLOW:
        for name, stand_in in airflow_secrets.modules().items():
            monkeypatch.setitem(sys.modules, name, stand_in)
    monkeypatch.setenv("NODE_CLUSTER", "airflow-prod")
    loaded = load("python/node_secrets.py")
    monkeypatch.setattr(loaded, "MetastoreBackend", airflow_secrets.Elsewhere)
    return loaded


@pytest.fixture
def clock(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def secrets(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Secrets:
    found = Secrets(aws.client("secretsmanager"))
    # To make one takes a second.
    monkeypatch.setattr(boto3.session, "Session", lambda: SimpleNamespace(client=lambda *_, **__: found.client))
    return found


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(airflow_secrets.Elsewhere, "found", {})
    return airflow_secrets.Elsewhere.found


@pytest.fixture
def backend(request: pytest.FixtureRequest, module: ModuleType) -> Any:
    for name in ("clock", "secrets", "elsewhere"):
        request.getfixturevalue(name)
    return _backend(module)


class _Connection:
    """Airflow's class needs a database driver's worth of imports."""

    def __init__(self, conn_id: str, uri: str) -> None:
        if "://" not in uri and not uri.startswith("{"):
            raise ValueError(f"no URI: {uri}")
        self.conn_id, self.uri = conn_id, uri

    @classmethod
    def from_json(cls, value: str, conn_id: str) -> _Connection:
        return cls(conn_id, value)


def _backend(module: ModuleType, **arguments: Any) -> Any:
    made = module.CachedSecretsBackend(**arguments)
    made._set_connection_class(_Connection)
    return made


@pytest.fixture
def warnings(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> pytest.LogCaptureFixture:
    # Airflow's loggers do not pass messages on.
    monkeypatch.setattr(module.CachedSecretsBackend, "log", logging.getLogger("backend"), raising=False)
    return caplog


def test_a_connection_and_a_variable_are_found_under_the_clusters_prefixes(backend: Any, secrets: Secrets) -> None:
    secrets.put("connections/sales", POSTGRES)
    secrets.put("variables/team/word", "hello")
    assert backend.get_connection("sales").uri == POSTGRES
    assert backend.get_variable("team/word") == "hello"
    assert secrets.asked == ["airflow-prod/connections/sales", "airflow-prod/variables/team/word"]


@pytest.mark.parametrize(("comms", "asked"), [(object(), 0), (None, 1)], ids=["supervised", "not supervised"])
def test_a_process_that_runs_code_of_dags_leaves_the_lookup_to_its_supervisor(
    backend: Any, secrets: Secrets, monkeypatch: pytest.MonkeyPatch, comms: object, asked: int
) -> None:
    """It is a new one for each DAG file, so its cache is empty."""
    name = "airflow.sdk.execution_time.task_runner"
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(SUPERVISOR_COMMS=comms))
    secrets.put("variables/word", "hello")
    assert backend.get_variable("word") == ("hello" if asked else None)
    assert len(secrets.asked) == asked


def test_no_lookup_leaves_its_prefix(backend: Any, secrets: Secrets) -> None:
    """The cluster's own secrets are `<cluster>/<key>`, and AWS compares names letter by letter."""
    secrets.put("database-dsn", "postgresql://secret")
    arn = secrets.client.describe_secret(SecretId="airflow-prod/database-dsn")["ARN"]
    for name in ("database-dsn", "../database-dsn", "/database-dsn", "airflow-prod/database-dsn", arn):
        assert backend.get_connection(name) is None
        assert backend.get_variable(name) is None
    assert all(re.match("airflow-prod/(connections|variables)/", asked) for asked in secrets.asked)


def test_a_second_lookup_asks_nobody_until_the_time_is_over(backend: Any, secrets: Secrets, clock: Clock) -> None:
    secrets.put("connections/sales", POSTGRES)
    for _ in range(3):
        assert backend.get_connection("sales").uri == POSTGRES
    secrets.change("connections/sales", "http://new")
    clock.now += 299
    assert backend.get_connection("sales").uri == POSTGRES
    assert len(secrets.asked) == 1
    clock.now += 2
    assert backend.get_connection("sales").uri == "http://new"
    assert len(secrets.asked) == 2


def test_that_there_is_no_secret_is_remembered_as_well(backend: Any, secrets: Secrets, clock: Clock) -> None:
    for _ in range(3):
        assert backend.get_variable("word") is None
    assert len(secrets.asked) == 1
    secrets.put("variables/word", "hello")
    clock.now += 301
    assert backend.get_variable("word") == "hello"


def test_the_time_is_an_argument(module: ModuleType, secrets: Secrets) -> None:
    backend = _backend(module, cache_seconds=0)
    secrets.put("variables/word", "hello")
    assert [backend.get_variable("word") for _ in range(3)] == ["hello"] * 3
    assert len(secrets.asked) == 3


def test_a_name_that_does_not_match_the_pattern_is_not_looked_up(module: ModuleType, secrets: Secrets) -> None:
    backend = _backend(module, connections_lookup_pattern="aws-", variables_lookup_pattern="^$")
    secrets.put("connections/aws-sales", POSTGRES)
    assert backend.get_connection("sales") is None
    assert backend.get_variable("word") is None
    assert backend.get_connection("aws-sales").uri == POSTGRES
    assert secrets.asked == ["airflow-prod/connections/aws-sales"]


@pytest.mark.parametrize("name", ["a b", "größe", "a(b)", "a:b", "a\\b", "a\n", "x" * 500])
def test_a_name_that_no_secret_can_have_is_not_found(backend: Any, secrets: Secrets, name: str) -> None:
    assert backend.get_connection(name) is None
    assert backend.get_variable(name) is None
    assert secrets.asked == [], "AWS would refuse it with an error"


def _refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetSecretValue")


@pytest.mark.parametrize("code", ["AccessDeniedException", "DecryptionFailure"])
def test_a_secret_that_must_not_be_read_counts_as_missing_and_is_named(
    backend: Any, secrets: Secrets, warnings: pytest.LogCaptureFixture, code: str
) -> None:
    secrets.put("variables/word", "hello")
    secrets.failure = _refused(code)
    assert backend.get_connection("sales") is None
    assert "The secret airflow-prod/connections/sales cannot be read" in warnings.text
    secrets.failure = None
    assert backend.get_variable("word") == "hello", "others are still looked up"


def test_a_secret_that_is_being_deleted_is_missing(backend: Any, secrets: Secrets) -> None:
    secrets.put("variables/word", "hello")
    secrets.client.delete_secret(SecretId="airflow-prod/variables/word")
    assert backend.get_variable("word") is None


def test_a_binary_secret_counts_as_missing_and_is_named(
    backend: Any, secrets: Secrets, warnings: pytest.LogCaptureFixture
) -> None:
    secrets.client.create_secret(Name="airflow-prod/variables/word", SecretBinary=b"hello")
    assert backend.get_variable("word") is None
    assert "airflow-prod/variables/word is binary" in warnings.text


@pytest.mark.parametrize("value", ["{hunter2", "hunter2"])
def test_a_secret_that_is_no_connection_is_named_without_its_value(
    backend: Any, secrets: Secrets, warnings: pytest.LogCaptureFixture, value: str
) -> None:
    secrets.put("connections/sales", value)
    with pytest.raises(ValueError, match=r"Expecting|no URI"):
        backend.get_connection("sales")
    assert "The secret of connection 'sales' is no connection" in warnings.text
    assert "hunter2" not in warnings.text


OUTAGES = [
    ConnectTimeoutError(endpoint_url="https://x"),
    _refused("ThrottlingException"),
    _refused("InternalServiceError"),
]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda error: type(error).__name__)
def test_without_an_answer_the_last_one_is_used_however_old(
    backend: Any, secrets: Secrets, clock: Clock, warnings: pytest.LogCaptureFixture, outage: Exception
) -> None:
    secrets.put("connections/sales", POSTGRES)
    assert backend.get_connection("sales").uri == POSTGRES
    assert backend.get_variable("word") is None
    secrets.failure = outage
    clock.now += 10_000
    assert backend.get_connection("sales").uri == POSTGRES
    assert backend.get_variable("word") is None
    assert "Secrets Manager does not answer" in warnings.text


def test_while_aws_does_not_answer_it_is_asked_every_fifteen_seconds(
    backend: Any, secrets: Secrets, clock: Clock
) -> None:
    secrets.put("variables/word", "hello")
    secrets.failure = OUTAGES[0]
    for _ in range(10):
        assert backend.get_variable("word") is None
        assert backend.get_connection("sales") is None
    assert len(secrets.asked) == 1
    secrets.failure = None
    clock.now += 14
    assert backend.get_variable("word") is None
    clock.now += 2
    assert backend.get_variable("word") == "hello"


def test_only_one_thread_waits_for_an_aws_that_does_not_answer(backend: Any, secrets: Secrets, clock: Clock) -> None:
    secrets.failure = OUTAGES[0]
    assert backend.get_variable("word") is None
    clock.now += 16
    secrets.gate = threading.Event()
    waiting = threading.Thread(target=backend.get_variable, args=("word",))
    waiting.start()
    while len(secrets.asked) < 2:
        waiting.join(0.01)
    assert backend.get_connection("sales") is None, "it would wait for ten seconds"
    assert waiting.is_alive()
    secrets.gate.set()
    waiting.join()


def test_many_lookups_of_one_name_at_a_time_are_one_call(backend: Any, secrets: Secrets) -> None:
    secrets.put("variables/word", "hello")
    secrets.gate = threading.Event()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(backend.get_variable("word"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    secrets.gate.set()
    for thread in threads:
        thread.join()
    assert found == ["hello"] * 20
    assert len(secrets.asked) == 1


def test_the_cache_forgets_the_name_that_was_read_first(
    module: ModuleType, backend: Any, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CACHED", 3)
    for name in "abcda":
        backend.get_variable(name)
    assert [name[-1] for name in secrets.asked] == list("abcda")
    backend.get_variable("d")
    assert len(secrets.asked) == 5


def test_a_task_is_told_to_try_again_what_may_be_a_secret(
    module: ModuleType, backend: Any, secrets: Secrets, elsewhere: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a task would go on with the default that it gives for a variable."""
    monkeypatch.setattr(module.CachedSecretsBackend, "retried", True)
    secrets.failure = OUTAGES[0]
    for lookup in (backend.get_variable, backend.get_connection):
        with pytest.raises(module.TryAgainError) as again:
            lookup("word")
        assert again.value.status_code == 503
        assert "Secrets Manager does not answer" in again.value.detail
    elsewhere["word"] = "from the database"
    assert backend.get_variable("word") is None, "Airflow asks the database next"
    assert backend.get_connection("word") is None
