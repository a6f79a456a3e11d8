"""A later lab finds the environment that an earlier one has published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lab import environments, host

EARLIER, LATER = "earlier-artifacts", "later-artifacts"
ZSTD = {"ContentEncoding": "zstd", "ContentType": "application/x-tar"}


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An earlier and a later bucket, and an empty cache."""
    monkeypatch.setattr(host, "CACHE", tmp_path)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        for bucket in (EARLIER, LATER):
            client.create_bucket(Bucket=bucket)
        yield client


def _publish(s3: Any, name: str, *archives: str) -> None:
    for archive in archives:
        s3.put_object(Bucket=EARLIER, Key=f"environments/{name}/{archive}.tar", Body=archive.encode(), **ZSTD)
    parts = [{"key": f"environments/{name}/{archive}.tar"} for archive in archives]
    s3.put_object(Bucket=EARLIER, Key=f"environments/{name}.json", Body=json.dumps({"parts": parts}).encode())


def _keys(s3: Any, bucket: str) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_a_later_lab_gets_the_environment_under_the_same_names_and_headers(s3: Any):
    _publish(s3, "a", "one", "two")
    s3.put_object(Bucket=EARLIER, Key="programs.tar", Body=b"no environment")
    environments.keep(s3, EARLIER)
    environments.restore(s3, LATER)
    assert _keys(s3, LATER) == ["environments/a.json", "environments/a/one.tar", "environments/a/two.tar"]
    found = s3.get_object(Bucket=LATER, Key="environments/a/two.tar")
    assert (found["Body"].read(), {name: found[name] for name in ZSTD}) == (b"two", ZSTD)


def test_an_archive_that_no_manifest_names_is_not_kept(s3: Any):
    _publish(s3, "a", "one")
    s3.put_object(Bucket=EARLIER, Key="environments/a/slower.tar", Body=b"", **ZSTD)
    environments.keep(s3, EARLIER)
    environments.restore(s3, LATER)
    assert _keys(s3, LATER) == ["environments/a.json", "environments/a/one.tar"]


def test_the_environment_of_another_lock_replaces_what_is_kept(s3: Any):
    _publish(s3, "a", "one")
    environments.keep(s3, EARLIER)
    s3.delete_object(Bucket=EARLIER, Key="environments/a.json")
    _publish(s3, "b", "two")
    environments.keep(s3, EARLIER)
    environments.restore(s3, LATER)
    assert _keys(s3, LATER) == ["environments/b.json", "environments/b/two.tar"]
    assert [folder.name for folder in host.CACHE.iterdir() if folder.is_dir()] == ["environments"]


def test_a_lab_that_ends_before_anything_is_published_leaves_what_is_kept(s3: Any):
    _publish(s3, "a", "one")
    environments.keep(s3, EARLIER)
    environments.keep(s3, LATER)
    environments.restore(s3, LATER)
    assert "environments/a.json" in _keys(s3, LATER)
