"""Environments of worker pools with requirements of their own: built and published on a master, unpacked on workers."""

from __future__ import annotations

import hashlib
import os
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.node.programs import load

build_pool_environment = load("build-pool-environment")
publish_environment, install_airflow = load("publish-environment"), load("install-airflow")
BUCKET, LIST = "airflow-prod-artifacts", "pool-locks"
HEAVY, LIGHT = b"torch==2.9.0 --hash=sha256:0\n", b"polars==1.35.0 --hash=sha256:0\n"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def s3(aws_over_http: boto3.Session, waits: list[float]) -> Any:
    """The artifacts bucket."""
    assert waits == []
    client = aws_over_http.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/opt/airflow of a master. What it builds holds the lock that it was built from."""
    monkeypatch.setattr(build_pool_environment.venv_build, "build", _build)
    (tmp_path / "master/artifacts").mkdir(parents=True)
    (tmp_path / "master/artifacts/uv.txt").write_text("uv==0.13.8 --hash=sha256:0\n")
    return tmp_path / "master"


def _build(home: Path, environment: Path, _index: object, *, install: object) -> None:
    assert install, "Debian's pip is installed at idle priority"
    assert (home / "artifacts/uv.txt").read_text().startswith("uv==")
    (environment / "lib").mkdir(parents=True)
    (environment / "lib/lock").write_bytes((home / "artifacts/airflow.txt").read_bytes())


def _key(lock: bytes) -> str:
    return f"{hashlib.sha256(lock).hexdigest()}/airflow.txt"


def _upload(s3: Any, *locks: bytes) -> None:
    """As `pulumi up` does."""
    for lock in locks:
        s3.put_object(Bucket=BUCKET, Key=_key(lock), Body=lock)
    s3.put_object(Bucket=BUCKET, Key=LIST, Body="".join(f"{_key(lock)}\n" for lock in locks).encode())


def _run(home: Path, folder: Path) -> tuple[str, list[str]]:
    """A run of the unit on a master: what was built, and what was published."""
    built = build_pool_environment.build(BUCKET, LIST, folder, {}, home)
    return built, [publish_environment.publish(BUCKET, place) for place in sorted(folder.iterdir())]


def test_a_worker_of_the_pool_unpacks_what_a_master_has_built(s3: Any, home: Path, tmp_path: Path):
    _upload(s3, HEAVY)
    built, [published] = _run(home, tmp_path / "run")
    assert built == f"The environment of a worker pool is built from s3://{BUCKET}/{_key(HEAVY)}"
    assert " is published: " in published
    worker = tmp_path / "worker"
    (worker / "artifacts").mkdir(parents=True)
    (worker / "artifacts/airflow.txt").write_bytes(HEAVY)
    assert install_airflow.install(BUCKET, worker).startswith("Airflow is unpacked from ")
    assert (worker / "venv/lib/lock").read_bytes() == HEAVY


def test_each_run_builds_one_until_all_are_published(s3: Any, home: Path, tmp_path: Path):
    _upload(s3, HEAVY, LIGHT)
    built = {_run(home, tmp_path / f"run{number}")[0] for number in range(2)}
    assert built == {
        f"The environment of a worker pool is built from s3://{BUCKET}/{_key(lock)}" for lock in (HEAVY, LIGHT)
    }
    assert _run(home, tmp_path / "last") == ("The environments of all worker pools are published", [])


def test_a_master_that_boots_before_the_list_is_written_has_nothing_to_do(s3: Any, home: Path, tmp_path: Path):
    assert s3
    assert _run(home, tmp_path / "run") == ("The environments of all worker pools are published", [])


def test_a_lock_under_the_hash_of_another_is_not_built(s3: Any, home: Path, tmp_path: Path):
    _upload(s3, HEAVY)
    s3.put_object(Bucket=BUCKET, Key=_key(HEAVY), Body=LIGHT)
    with pytest.raises(build_pool_environment.StepFailedError, match="find out who has written it"):
        _run(home, tmp_path / "run")
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == [_key(HEAVY), LIST]


def test_a_lock_that_cannot_be_built_is_left_for_hours_and_keeps_no_other_waiting(
    s3: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _upload(s3, HEAVY)

    def fail(*_: object, **__: object) -> None:
        raise build_pool_environment.StepFailedError("the disk is too small")

    with monkeypatch.context() as broken:
        broken.setattr(build_pool_environment.venv_build, "build", fail)
        with pytest.raises(build_pool_environment.StepFailedError, match="too small"):
            _run(home, tmp_path / "first")
    _upload(s3, HEAVY, LIGHT)
    assert _key(LIGHT) in _run(home, tmp_path / "second")[0]
    assert _run(home, tmp_path / "third")[0].startswith("1 environments of worker pools could not be built")
    [mark] = [mark for mark in home.glob("tried-*") if hashlib.sha256(HEAVY).hexdigest() in mark.name]
    hours_ago = time.time() - build_pool_environment.RETRY_SECONDS
    os.utime(mark, (hours_ago, hours_ago))
    assert _key(HEAVY) in _run(home, tmp_path / "fourth")[0]


def test_an_environment_that_is_too_large_ends_before_the_masters_disk_is_full(
    tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    free = iter([9 << 30, 4 << 30, (4 << 30) - 1])
    monkeypatch.setattr(build_pool_environment.shutil, "disk_usage", lambda _: Usage(30 << 30, 0, next(free)))
    ended: list[int] = []
    build_pool_environment.keep_disk_free(tmp_path, ended.append)
    assert (ended, waits) == ([1], [1, 1])
    assert "Less than 4 GiB of the disk are free" in capsys.readouterr().out


def test_a_bucket_that_refuses_is_named(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert s3
    monkeypatch.setenv("NODE_ARTIFACTS_BUCKET", "another-bucket")
    monkeypatch.setenv("NODE_POOL_LOCKS", LIST)
    monkeypatch.setattr(build_pool_environment, "keep_disk_free", lambda _folder: None)
    monkeypatch.setattr(build_pool_environment.sys, "argv", ["program", str(tmp_path / "run")])
    with pytest.raises(build_pool_environment.StepFailedError, match="cannot be read: NoSuchBucket"):
        build_pool_environment.step()
