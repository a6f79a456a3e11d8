from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import quote

import boto3
import pytest
from packaging.version import Version

from tests.node import redis_server
from tests.node.metadata import Metadata
from tests.node.programs import load, module

await_admission = load("await-admission")
masters_version = module("airflow_node.masters_version")
BUCKET = "airflow-prod-artifacts"
OWN = "3.4.0"


@pytest.fixture(autouse=True)
def own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masters_version, "installed", lambda: Version(OWN))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """A clock that advances while the program waits."""
    now = [0.0]
    monkeypatch.setattr(await_admission.retry, "wait", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return lambda: now[0]


def tell(session: boto3.Session, version: str | None) -> None:
    """The version that the masters have published, if any."""
    s3 = session.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    if version is not None:
        s3.put_object(Bucket=BUCKET, Key=masters_version.KEY, Body=version.encode())


@pytest.mark.parametrize("masters", ["3.3.2", "3.4.0rc1", "2.11.2"])
def test_a_worker_waits_for_masters_with_an_older_airflow(aws_over_http: boto3.Session, masters: str):
    tell(aws_over_http, f"{masters}\n")
    told = await_admission.older_masters({"NODE_ARTIFACTS_BUCKET": BUCKET})
    assert told is not None
    assert told.startswith(f"masters with Airflow {masters} still serve, and this worker has 3.4.0")


@pytest.mark.parametrize("masters", ["3.4.0", "3.10.0", None, "no version"])
def test_a_worker_does_not_wait_for_masters_with_its_own_airflow_or_a_newer_one_or_for_the_first_masters(
    aws_over_http: boto3.Session, masters: str | None
):
    tell(aws_over_http, masters)
    assert await_admission.older_masters({"NODE_ARTIFACTS_BUCKET": BUCKET}) is None


@pytest.mark.usefixtures("aws_over_http")
def test_a_worker_that_cannot_read_the_masters_version_waits():
    told = await_admission.older_masters({"NODE_ARTIFACTS_BUCKET": "missing"})
    assert told is not None
    assert "cannot be read: NoSuchBucket" in told


def test_a_worker_waits_until_a_master_has_set_the_password_of_the_result_database(metadata: Metadata):
    wrong = metadata.url.replace(f":{quote('p%41')}", ":another")
    told = await_admission.refused_password({"AIRFLOW__CELERY__RESULT_BACKEND": f"db+{wrong}"})
    assert told is not None
    assert told.startswith("no master has set the password of the result database yet: ")
    assert await_admission.refused_password({"AIRFLOW__CELERY__RESULT_BACKEND": f"db+{metadata.url}"}) is None


def test_a_worker_does_not_wait_for_a_database_that_does_not_respond():
    """Celery retries by itself; this step does not wait for a failover to end."""
    away = "db+postgresql+psycopg2://role:word@127.0.0.1:1/results"
    assert await_admission.refused_password({"AIRFLOW__CELERY__RESULT_BACKEND": away}) is None


@pytest.mark.parametrize(("instances", "waits"), [(16, False), (17, True), (0, False)])
def test_a_worker_waits_while_its_pool_has_more_than_twice_its_maximum_of_instances(
    broker: redis_server.Server, instances: int, waits: bool
):
    """Three updates during one long drain: connections and addresses suffice for two generations only."""
    board = broker.client(2)
    board.set("group:default", json.dumps({"minimum": 1, "maximum": 8, "desired": 8, "instances": instances}))
    told = await_admission.crowded_pool({"NODE_POOL": "default", "AIRFLOW__CELERY__BROKER_URL": broker.url})
    assert (told is not None) is waits
    if told:
        assert "17 instances, including those that still finish tasks, and the database has connections for 16" in told


def test_a_worker_does_not_wait_for_a_broker_or_for_group_sizes_that_are_not_published(broker: redis_server.Server):
    for url in (broker.url, "redis://127.0.0.1:1/0"):
        assert await_admission.crowded_pool({"NODE_POOL": "none", "AIRFLOW__CELERY__BROKER_URL": url}) is None


def test_the_reason_is_logged_when_it_changes_and_every_ten_minutes(
    clock: Callable[[], float], capsys: pytest.CaptureFixture[str]
):
    answers: Iterator[str | None] = iter([*["the first"] * 5, *["the second"] * 121, None])
    said = await_admission.wait({}, [lambda _: next(answers)], clock)
    assert said == "this worker may take tasks"
    assert capsys.readouterr().out.splitlines() == [
        "This worker takes no tasks yet: the first (0 min so far)",
        "This worker takes no tasks yet: the second (0 min so far)",
        "This worker takes no tasks yet: the second (10 min so far)",
    ]


def test_a_worker_that_waits_for_too_long_fails_with_the_reason_and_is_replaced(clock: Callable[[], float]):
    with pytest.raises(await_admission.StepFailedError, match=r"after 120 minutes, masters with Airflow 3\.3\.2"):
        await_admission.wait({}, [lambda _: "masters with Airflow 3.3.2 still serve"], clock)


def test_a_worker_does_not_wait_without_a_reason(clock: Callable[[], float]):
    await_admission.wait({}, [lambda _: None], clock)
    assert clock() == 0
