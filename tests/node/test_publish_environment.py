from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import boto3
import pytest
import zstandard

from tests.node.programs import load

publish_environment = load("publish-environment")
archive = publish_environment.venv_archive
BUCKET = "airflow-prod-artifacts"


@pytest.fixture
def s3(aws_over_http: boto3.Session) -> Any:
    client = aws_over_http.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """/opt/airflow of a master with a small environment."""
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/airflow.txt").write_text("apache-airflow==3.3.2\n")
    for number in range(9):
        package = tmp_path / f"venv/lib/package{number}"
        package.mkdir(parents=True)
        (package / "module.py").write_bytes(bytes(number * 1000))
    (tmp_path / "venv/lib64").symlink_to("lib")
    (tmp_path / "venv/.lock-sha256").write_text("this node's own")
    return tmp_path


def _manifest(s3: Any) -> dict[str, Any]:
    (key,) = [key for key in _keys(s3) if key.endswith(".json")]
    return json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def _keys(s3: Any) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def _members(s3: Any) -> list[tarfile.TarInfo]:
    found = []
    for part in _manifest(s3)["parts"]:
        stored = s3.get_object(Bucket=BUCKET, Key=part["key"])
        assert stored["ContentEncoding"] == "zstd", "else curl does not unpack it"
        tar = zstandard.decompress(stored["Body"].read(), max_output_size=part["size"])
        assert (hashlib.sha256(tar).hexdigest(), len(tar)) == (part["sha256"], part["size"])
        with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
            found += opened.getmembers()
    return found


def test_every_file_is_in_exactly_one_of_the_archives(s3: Any, home: Path):
    publish_environment.publish(BUCKET, home)
    files = [*(f"lib/package{number}/module.py" for number in range(9)), "lib64"]
    assert sorted(member.name for member in _members(s3)) == sorted(files)
    assert len(_manifest(s3)["parts"]) == publish_environment.PARTS


def test_the_archives_do_not_depend_on_who_packed_them(s3: Any, home: Path):
    publish_environment.publish(BUCKET, home)
    for member in _members(s3):
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")


def test_the_archives_weigh_about_the_same(home: Path):
    weights = [sum(path.lstat().st_size for path, _ in part) for part in publish_environment.shares(home / "venv")]
    assert max(weights) - min(weights) <= 8000, "the largest decides how long a boot takes"


def test_what_is_there_is_not_published_again(s3: Any, home: Path):
    publish_environment.publish(BUCKET, home)
    before = _keys(s3)
    (home / "venv/lib/package0/module.py").write_text("changed")
    assert publish_environment.publish(BUCKET, home).endswith(" is published already")
    assert _keys(s3) == before


def test_the_first_of_two_masters_wins(s3: Any, home: Path, monkeypatch: pytest.MonkeyPatch):
    publish_environment.publish(BUCKET, home)
    first = _manifest(s3)
    (home / "venv/lib/package0/module.py").write_text("changed")
    monkeypatch.setattr(archive, "published", lambda *_: None)
    assert publish_environment.publish(BUCKET, home).startswith("another master was faster with s3://")
    assert _manifest(s3) == first


def test_one_that_this_node_found_broken_is_replaced(s3: Any, home: Path):
    publish_environment.publish(BUCKET, home)
    lock = hashlib.sha256((home / "artifacts/airflow.txt").read_bytes()).hexdigest()
    s3.put_object(Bucket=BUCKET, Key=archive.manifest_key(lock), Body=b"broken")
    assert publish_environment.publish(BUCKET, home).endswith(" is published already"), "no node has found it broken"
    (home / archive.BROKEN_MARK).write_text(hashlib.sha256(b"broken").hexdigest())
    assert " is published: 4 archives, " in publish_environment.publish(BUCKET, home)
    assert len(_manifest(s3)["parts"]) == publish_environment.PARTS


def test_a_bucket_that_refuses_is_named(home: Path, s3: Any, monkeypatch: pytest.MonkeyPatch):
    assert s3
    monkeypatch.setenv("NODE_ARTIFACTS_BUCKET", "another-bucket")
    monkeypatch.setattr(publish_environment, "HOME", home)
    monkeypatch.setattr(publish_environment.publish, "__defaults__", (home,))
    with pytest.raises(publish_environment.StepFailedError, match="cannot be written: NoSuchBucket"):
        publish_environment.step()


def test_an_archive_does_not_have_to_fit_into_the_memory(s3: Any, home: Path, monkeypatch: pytest.MonkeyPatch):
    """The unit may use 1 GiB, and a worker pool's packages may be larger."""
    assert s3
    bodies: list[Any] = []
    monkeypatch.setattr(publish_environment.aws_request, "send", lambda request: bodies.append(request.body))
    publish_environment.upload(BUCKET, "environments/a", publish_environment.shares(home / "venv")[0])
    assert [type(body) for body in bodies] == [memoryview]
