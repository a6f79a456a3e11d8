"""XComs with a substitute for Airflow's base class. tests/cluster/test_dag_run.py pushes one in the real one."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest

from tests.node.programs import load

NAMES = {"key": "return_value", "dag_id": "sales", "task_id": "extract", "run_id": "r", "map_index": -1}
MIB = 1 << 20


class _BaseXCom:
    """Airflow's serialization, of JSON only."""

    @staticmethod
    def serialize_value(value: Any, **_: Any) -> Any:
        return value

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        return result.value


class _FailError(Exception):
    """With it, Airflow fails a task without a retry."""


@pytest.fixture
def options() -> dict[str, Any]:
    return {"xcom_objectstorage_threshold": 10 * MIB}


@pytest.fixture
def node_xcom(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> Any:
    names = ("airflow", "airflow.sdk", "airflow.sdk.bases", "airflow.sdk.bases.xcom")
    modules = {name: ModuleType(name) for name in (*names, "airflow.sdk.configuration", "airflow.sdk.exceptions")}
    vars(modules["airflow.sdk.bases.xcom"])["BaseXCom"] = _BaseXCom
    vars(modules["airflow.sdk.exceptions"])["AirflowFailException"] = _FailError
    vars(modules["airflow.sdk.configuration"])["conf"] = SimpleNamespace(
        getint=lambda _section, option: options[option],
        get=lambda _section, option, fallback: options.get(option, fallback),
    )
    for name, found in modules.items():
        monkeypatch.setitem(sys.modules, name, found)
    return load("python/node_xcom.py")


@pytest.fixture(autouse=True)
def _s3(aws: boto3.Session, node_xcom: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = aws.client("s3")
    client.create_bucket(Bucket="xcoms", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    monkeypatch.setattr(node_xcom.task_logs, "s3", lambda: client)


def _pulled(node_xcom: Any, stored: Any) -> Any:
    return node_xcom.NodeXCom.deserialize_value(SimpleNamespace(value=stored))


def test_an_xcom_up_to_the_limit_is_stored_as_airflow_stores_it(node_xcom: Any):
    value = "x" * (10 * MIB - 2)  # and two quotes
    assert node_xcom.NodeXCom.serialize_value(value, **NAMES) is value
    assert _pulled(node_xcom, value) is value


def test_a_larger_one_fails_its_task_without_a_retry_and_says_what_to_do(node_xcom: Any):
    with pytest.raises(_FailError) as error:
        node_xcom.NodeXCom.serialize_value("x" * (10 * MIB), **NAMES)
    assert str(error.value) == (
        "The XCom return_value of the task extract in the DAG sales has 10.0 MiB. XComs larger than 10.0 MiB are "
        "refused, because the metadata database is not made for them. Write the data to S3 and return its key; or have "
        "larger XComs stored in S3, with the option common.io.xcom_objectstorage_path in airflow:config."
    )


def test_what_counts_are_the_bytes_that_are_sent(node_xcom: Any, options: dict[str, Any]):
    options["xcom_objectstorage_threshold"] = 10
    assert node_xcom.NodeXCom.serialize_value("ä" * 4, **NAMES)
    with pytest.raises(_FailError):
        node_xcom.NodeXCom.serialize_value("ä" * 5, **NAMES)


def test_minus_one_is_no_limit(node_xcom: Any, options: dict[str, Any]):
    options["xcom_objectstorage_threshold"] = -1
    assert node_xcom.NodeXCom.serialize_value("x" * (11 * MIB), **NAMES)


@pytest.mark.parametrize("value", [["x" * MIB] * 11, "x" * (11 * MIB), {"y": "\ud800" * (5 * MIB)}])
def test_with_a_place_in_s3_larger_ones_are_stored_there(node_xcom: Any, options: dict[str, Any], value: Any):
    options["xcom_objectstorage_path"] = "s3://xcoms/xcom/"
    stored = node_xcom.NodeXCom.serialize_value(value, **NAMES)
    assert stored.startswith("s3://xcoms/xcom/sales/")
    assert _pulled(node_xcom, stored) == value
    assert node_xcom.NodeXCom.serialize_value("small", **NAMES) == "small"
    assert _pulled(node_xcom, "s3://elsewhere/object") == "s3://elsewhere/object"


def test_one_that_s3_no_longer_has_fails_the_task_that_pulls_it(node_xcom: Any, options: dict[str, Any]):
    options["xcom_objectstorage_path"] = "s3://xcoms/xcom"
    with pytest.raises(_FailError, match=r"no longer at s3://xcoms/xcom/sales/gone\.json"):
        _pulled(node_xcom, "s3://xcoms/xcom/sales/gone.json")
