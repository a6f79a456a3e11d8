"""XComs on every node, for Airflow's option `xcom_backend`: those that are too large for the database are refused.

Airflow itself accepts any size. It then fails to send a large XCom within the time-out of a call, tries again for
minutes, and sends no heartbeat meanwhile.

Only what tasks push comes here. Those of an API client, and those with which a trigger ends its task, are stored by
Airflow's models, which know no backend.
"""

from __future__ import annotations

import json
import uuid
from types import SimpleNamespace
from typing import Any

import task_logs

# Airflow is installed only on nodes.
from airflow.sdk.bases.xcom import BaseXCom  # ty: ignore[import-not-found]
from airflow.sdk.configuration import conf  # ty: ignore[import-not-found]
from airflow.sdk.exceptions import AirflowFailException  # ty: ignore[import-not-found]

SECTION = "common.io"


class XComTooLargeError(AirflowFailException):
    """An XCom is larger than the limit. The task fails without a retry, which would push as much again."""


class NodeXCom(BaseXCom):
    """Stores an XCom in the database; or in S3, if it is larger than the limit and there is a place for it.

    Both options are those of Airflow's `XComObjectStorageBackend`, which needs packages that nodes do not have.
    """

    @staticmethod
    def serialize_value(
        value: Any, *, key: str | None = None, dag_id: str | None = None, task_id: str | None = None, **_: Any
    ) -> Any:
        """What the database stores: the value, or the URL of the object that holds it.

        Raises XComTooLargeError if it is larger than the limit and there is no place for it in S3.
        """
        stored = BaseXCom.serialize_value(value)
        data = json.dumps(stored, ensure_ascii=False).encode(errors="surrogatepass")
        limit = conf.getint(SECTION, "xcom_objectstorage_threshold")
        if limit < 0 or len(data) <= limit:
            return stored
        if not (place := _place()):
            raise XComTooLargeError(
                f"The XCom {key} of the task {task_id} in the DAG {dag_id} has {_mib(len(data))}. XComs larger than "
                f"{_mib(limit)} are refused, because the metadata database is not made for them. Write the data to S3 "
                "and return its key; or have larger XComs stored in S3, with the option "
                "common.io.xcom_objectstorage_path in airflow:config."
            )
        url = f"{place}{dag_id}/{uuid.uuid4()}.json"
        task_logs.s3().put_object(**_object(url), Body=data, ContentType="application/json")
        return url

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        """The value, from wherever it is."""
        stored, place = result.value, _place()
        if place and isinstance(stored, str) and stored.startswith(place):
            client = task_logs.s3()
            try:
                stored = json.loads(client.get_object(**_object(stored))["Body"].read())
            except client.exceptions.NoSuchKey:
                message = f"The XCom is no longer at {stored}: the bucket keeps it as long as the logs of tasks."
                raise AirflowFailException(message) from None
        return BaseXCom.deserialize_value(SimpleNamespace(value=stored))


def _place() -> str | None:
    """What the URLs of XComs in S3 begin with."""
    path = conf.get(SECTION, "xcom_objectstorage_path", fallback="")
    return f"{path.rstrip('/')}/" if path else None


def _object(url: str) -> dict[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"
