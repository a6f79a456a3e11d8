from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path
from typing import Any

import boto3
import pytest

from node.artifacts import artifacts_for
from node.roles import Role
from node.rootfs import files_for
from tests.node.programs import load

fetch_artifacts = load("fetch-artifacts")
BUCKET = "airflow-prod-111122223333-eu-west-1-artifacts"


@pytest.fixture
def s3(aws_over_http: boto3.Session) -> Any:
    """S3 with the artifacts bucket."""
    client = aws_over_http.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


def _upload(s3: Any, role: Role) -> list[str]:
    for artifact in artifacts_for(role):
        s3.put_object(Bucket=BUCKET, Key=artifact.key, Body=artifact.content)
    return [artifact.key for artifact in artifacts_for(role)]


def _fetch(keys: list[str], place: Path) -> str:
    return fetch_artifacts.fetch_all(BUCKET, keys, store=place / "store", root=place / "root")


@pytest.mark.parametrize("role", Role)
def test_a_node_gets_its_locks_and_programs(s3: Any, role: Role, tmp_path: Path):
    keys = _upload(s3, role)
    number = len(keys)
    outcome = _fetch(keys, tmp_path)
    assert outcome == f"{number} artifacts are here and verified; {number} of them were fetched from s3://{BUCKET}"
    assert (tmp_path / "store/airflow.txt").exists() == (role is not Role.MONITOR), "which runs no Airflow"
    for file in files_for(role):
        if not file.in_user_data:
            placed = tmp_path / "root" / file.path.lstrip("/")
            assert placed.read_bytes() == file.content
            assert stat.S_IMODE(placed.stat().st_mode) == file.mode


def test_a_reboot_fetches_nothing_again(s3: Any, tmp_path: Path):
    keys = _upload(s3, Role.WORKER)
    _fetch(keys, tmp_path)
    for key in keys:
        s3.delete_object(Bucket=BUCKET, Key=key)
    assert "0 of them were fetched" in _fetch(keys, tmp_path)


def test_a_file_that_was_changed_on_the_node_is_fetched_again(s3: Any, tmp_path: Path):
    keys = _upload(s3, Role.WORKER)
    _fetch(keys, tmp_path)
    (tmp_path / "store/airflow.txt").write_text("requests==0\n")
    assert "1 of them were fetched" in _fetch(keys, tmp_path)


def test_an_object_with_another_hash_is_not_used(s3: Any, tmp_path: Path):
    keys = _upload(s3, Role.WORKER)
    s3.put_object(Bucket=BUCKET, Key=keys[0], Body=b"something else")
    with pytest.raises(
        fetch_artifacts.StepFailedError, match=r"airflow\.txt has the hash .* so it is not what `pulumi up` uploaded"
    ):
        _fetch(keys, tmp_path)
    assert not (tmp_path / "store/airflow.txt").exists()


def test_a_missing_object_is_named(s3: Any, tmp_path: Path):
    keys = _upload(s3, Role.WORKER)
    s3.delete_object(Bucket=BUCKET, Key=keys[1])
    with pytest.raises(fetch_artifacts.StepFailedError, match=f"s3://{BUCKET}/{keys[1]} cannot be read: .*NoSuchKey"):
        _fetch(keys, tmp_path)


@pytest.mark.parametrize("name", ["etc/passwd", "usr/local/../../etc/passwd"])
def test_an_archive_can_write_files_below_usr_local_only(name: str, tmp_path: Path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(fetch_artifacts.StepFailedError, match="is not a file of /usr/local"):
        fetch_artifacts.unpack(buffer.getvalue(), tmp_path)
