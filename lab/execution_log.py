"""A log that the tasks of the load write themselves: each execution of each try, whatever Airflow has recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

PREFIX = "executions/"


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One try of one task; it is in the log twice if the try was executed twice."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int


def read(s3: Any, bucket: str) -> Counter[Execution]:
    """How often each try was executed, by the objects in the bucket of the task logs."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
    return parse(entry["Key"] for page in pages for entry in page.get("Contents", ()))


def parse(keys: Iterable[str]) -> Counter[Execution]:
    """Count the executions by the objects' keys, `executions/<dag>/<run>/<task>/<map index>/<try>/<unique>`."""
    return Counter(_execution(key) for key in keys)


def _execution(key: str) -> Execution:
    dag_id, run_id, task_id, map_index, try_number, _ = key.removeprefix(PREFIX).split("/")
    return Execution(
        dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=int(map_index), try_number=int(try_number)
    )
