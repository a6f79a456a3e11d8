from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from dags.bucket import ReleaseBucket

BUCKET = "airflow-prod-111122223333-eu-west-1-dags"
DAG = "from airflow.sdk import DAG\ndag = DAG('{}')\n"

MakeFolder = Callable[..., Path]


@pytest.fixture
def s3(aws: boto3.Session) -> Any:
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


@pytest.fixture
def bucket(s3: Any) -> ReleaseBucket:
    return ReleaseBucket(s3, BUCKET, "dags")


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Creates a folder with a DAG and these files."""

    def make(name: str = "folder", files: Mapping[str, str] | None = None) -> Path:
        folder = tmp_path / name
        for path, content in {"first.py": DAG.format("first"), **(files or {})}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)
        return folder

    return make
