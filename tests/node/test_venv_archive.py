from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import boto3
import pytest
import zstandard

from tests.node.programs import module

archive = module("airflow_node.venv_archive")
BUCKET = "airflow-prod-artifacts"
LOCK = "ab" * 32
NO_PARTS = b'{"parts": [], "made_for": ""}'


@pytest.fixture
def s3(aws_over_http: boto3.Session) -> Any:
    client = aws_over_http.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


def _tar(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in files.items():
            member = tarfile.TarInfo(f"lib/{name}")
            member.size, member.mode, member.mtime = len(content), 0o755, 1_700_000_000
            made.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _store(s3: Any, key: str, tar: bytes, stored: bytes | None = None) -> Any:
    """Put a part into the bucket, as it should be or as `stored`."""
    content = zstandard.compress(tar) if stored is None else stored
    s3.put_object(Bucket=BUCKET, Key=key, Body=content, ContentEncoding="zstd")
    return archive.Part(key=key, sha256=hashlib.sha256(tar).hexdigest(), size=len(tar))


def test_all_parts_are_unpacked_into_one_directory(s3: Any, tmp_path: Path):
    large = bytes(range(256)) * 20_000
    parts = [_store(s3, "0.tar", _tar(one=b"1")), _store(s3, "1.tar", _tar(two=large))]
    archive.unpack(BUCKET, parts, tmp_path / "venv")
    assert (tmp_path / "venv/lib/one").read_bytes() == b"1"
    assert (tmp_path / "venv/lib/two").read_bytes() == large


def test_modes_and_times_stay(s3: Any, tmp_path: Path):
    archive.unpack(BUCKET, [_store(s3, "0.tar", _tar(one=b"1"))], tmp_path / "venv")
    status = (tmp_path / "venv/lib/one").stat()
    assert status.st_mode & 0o777 == 0o755
    assert status.st_mtime == 1_700_000_000, "Python compiles again what seems to have changed"


def test_an_archive_with_another_hash_is_broken(s3: Any, tmp_path: Path):
    part = _store(s3, "0.tar", _tar(one=b"1"), zstandard.compress(_tar(one=b"2")))
    with pytest.raises(archive.BrokenArchiveError, match=r"0\.tar holds 10,240 bytes with the hash"):
        archive.unpack(BUCKET, [part], tmp_path / "venv")


def test_half_an_archive_is_broken(s3: Any, tmp_path: Path):
    whole = _tar(one=bytes(100_000))
    part = _store(s3, "0.tar", whole, zstandard.compress(whole[:50_000]))
    with pytest.raises(archive.BrokenArchiveError, match=r"0\.tar holds 50,000 bytes"):
        archive.unpack(BUCKET, [part], tmp_path / "venv")


def test_what_is_not_packed_at_all_is_broken(s3: Any, tmp_path: Path):
    part = _store(s3, "0.tar", _tar(one=b"1"), b"<html>")
    with pytest.raises(archive.BrokenArchiveError, match=r"0\.tar is missing or damaged"):
        archive.unpack(BUCKET, [part], tmp_path / "venv")


def test_an_archive_that_the_manifest_names_in_vain_is_broken(s3: Any, tmp_path: Path):
    part = _store(s3, "0.tar", _tar(one=b"1"))
    s3.delete_object(Bucket=BUCKET, Key="0.tar")
    with pytest.raises(archive.BrokenArchiveError, match=r"0\.tar is missing or damaged"):
        archive.unpack(BUCKET, [part], tmp_path / "venv")


def test_a_bucket_that_is_away_is_no_fault_of_the_archive(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    part = _store(s3, "0.tar", _tar(one=b"1"))
    monkeypatch.setattr(archive.aws_request, "endpoint", lambda *_: "http://127.0.0.1:1")
    with pytest.raises(archive.UnpackError, match=r"0\.tar cannot be fetched \(curl: \(7\) "):
        archive.unpack(BUCKET, [part], tmp_path / "venv")


def test_a_disk_that_is_full_is_no_fault_of_the_archive(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    part = _store(s3, "0.tar", _tar(one=bytes(5_000_000)))
    monkeypatch.setattr(archive, "TAR", ("sh", "-c", "exit 2"))
    with pytest.raises(archive.UnpackError, match=r"0\.tar cannot be written \(exit code 2 of tar\)"):
        archive.unpack(BUCKET, [part], tmp_path / "venv")


def test_the_signature_is_on_no_command_line(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    part = _store(s3, "0.tar", _tar(one=b"1"))
    commands: list[str] = []
    start = archive.subprocess.Popen

    def popen(command: Any, **options: Any) -> Any:
        commands.extend(command)
        return start(command, **options)

    monkeypatch.setattr(archive.subprocess, "Popen", popen)
    archive.unpack(BUCKET, [part], tmp_path / "venv")
    assert not [word for word in commands if "testing" in word or "Signature" in word]


def test_a_manifest_is_read_as_it_was_written():
    part = archive.Part(key="environments/0/1.tar", sha256=LOCK, size=3)
    manifest = archive.Manifest(made_for="Python", parts=(part,))
    assert archive.Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("text", [b"", b"[]", b"<html>", b'{"parts": [{"key": "0"}], "made_for": ""}', NO_PARTS])
def test_what_is_no_manifest_is_broken(text: bytes):
    with pytest.raises(archive.BrokenArchiveError, match="its manifest cannot be read"):
        archive.Manifest.from_json(text)


@pytest.mark.parametrize(("name", "value"), [("python_version", "3.13.99"), ("machine", "riscv64")])
def test_another_python_or_machine_has_another_environment(name: str, value: str, monkeypatch: pytest.MonkeyPatch):
    here = archive.manifest_key(LOCK)
    monkeypatch.setattr(archive.platform, name, lambda: value)
    assert archive.manifest_key(LOCK) != here


def test_another_lock_has_another_environment():
    assert archive.manifest_key(LOCK) != archive.manifest_key(LOCK.upper())
    assert archive.manifest_key(LOCK).startswith("environments/"), "masters may write there and nowhere else"
