"""Releases in a bucket, as the publisher leaves them there."""

from __future__ import annotations

import hashlib
import io
import tarfile
from typing import Any

import zstandard

from tests.node.programs import module

dag_release = module("airflow_node.dag_release")
BUCKET = "prod-dags"
BUNDLE = "dags"


def archive_of(**files: str) -> tuple[str, bytes]:
    """The version and the packed archive of a DAG folder with these files; `__` in a name stands for a slash."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(f"{name.replace('__', '/')}.py")
            member.size = len(files[name].encode())
            tar.addfile(member, io.BytesIO(files[name].encode()))
    return hashlib.sha256(buffer.getvalue()).hexdigest(), zstandard.compress(buffer.getvalue())


def upload(s3: Any, **files: str) -> str:
    """Upload a release, which does not become the current one. Its version."""
    version, archive = archive_of(**files)
    s3.put_object(Bucket=BUCKET, Key=dag_release.archive_key(BUNDLE, version), Body=archive)
    return version


def point_to(s3: Any, version: str, sequence: int = 1) -> None:
    """Make it the current one."""
    publication = dag_release.Publication(
        version=version, sequence=sequence, published="2026-11-27T12:00:00Z", by="ann"
    )
    pointer = dag_release.Pointer(current=publication)
    s3.put_object(Bucket=BUCKET, Key=dag_release.pointer_key(BUNDLE), Body=pointer.to_json())


def publish(s3: Any, **files: str) -> str:
    """Upload a release and make it the current one. Its version."""
    version = upload(s3, **files)
    point_to(s3, version)
    return version
