"""The virtual environments that masters have published, kept on this machine from one lab to the next.

Nodes that find their environment in the bucket unpack it. Otherwise each of the first nodes installs it from the lock,
and the masters pack and publish it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lab import host
from lab.progress import say

PREFIX = "environments/"
INDEX = "index.json"
HEADERS = ("ContentEncoding", "ContentType")


def restore(s3: Any, bucket: str) -> None:
    """Put what is kept into a bucket, under its own names. A node uses only what was made for its lock and Python."""
    with host.alone():
        for key, headers in _index().items():
            with (_folder() / _file_name(key)).open("rb") as content:
                s3.put_object(Bucket=bucket, Key=key, Body=content, **headers)


def keep(s3: Any, bucket: str) -> None:
    """Keep the environments of a bucket, instead of those that are kept now. A failure is told, and changes nothing."""
    try:
        _keep(s3, bucket)
    except (BotoCoreError, ClientError, OSError) as failure:
        say(f"the published environment is not kept for the next lab: {failure}")


def _keep(s3: Any, bucket: str) -> None:
    found = s3.list_objects_v2(Bucket=bucket, Prefix=PREFIX).get("Contents", [])
    manifests = [item["Key"] for item in found if item["Key"].endswith(".json")]
    keys = {key for manifest in manifests for key in _named_by(s3, bucket, manifest)} | {*manifests}
    with host.alone():
        if not keys or keys == _index().keys():
            return
        work = Path(tempfile.mkdtemp(prefix="environments-", dir=host.CACHE))
        try:
            (work / INDEX).write_text(json.dumps({key: _fetch(s3, bucket, key, work) for key in keys}))
            shutil.rmtree(_folder(), ignore_errors=True)
            work.rename(_folder())
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _named_by(s3: Any, bucket: str, manifest: str) -> list[str]:
    """The archives of an environment. Those of a master that was slower than another are in no manifest."""
    document = json.loads(s3.get_object(Bucket=bucket, Key=manifest)["Body"].read())
    return [part["key"] for part in document["parts"]]


def _fetch(s3: Any, bucket: str, key: str, folder: Path) -> dict[str, str]:
    """Write an object into the folder; returns its headers."""
    found = s3.get_object(Bucket=bucket, Key=key)
    with (folder / _file_name(key)).open("wb") as file:
        shutil.copyfileobj(found["Body"], file)
    return {name: found[name] for name in HEADERS if name in found}


def _index() -> Mapping[str, Mapping[str, str]]:
    """The headers of what is kept, by key."""
    file = _folder() / INDEX
    return json.loads(file.read_text()) if file.exists() else {}


def _folder() -> Path:
    return host.CACHE / "environments"


def _file_name(key: str) -> str:
    return key.replace("/", "_")
