"""Task logs in S3, of any size: uploaded in parts, read from their end, in constant memory."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PART_BYTES = 8 << 20
"""S3 wants at least 5 MiB in each part but the last, and takes 10,000 parts."""

SHOWN_BYTES = 4 << 20
"""Of a longer log the end is shown. It is read, parsed and sent within seconds: load balancers wait for 60 s."""

ATTEMPTS = 3

log = logging.getLogger(__name__)


@cache
def s3() -> Any:
    """A client with the node's IAM role, of a session of its own: a task may set up the default one."""
    retries = {"mode": "standard", "total_max_attempts": 3}
    return boto3.Session().client("s3", config=Config(connect_timeout=5, read_timeout=20, retries=retries))


class TaskLogs:
    """Airflow's interface for logs that are not on the node (`RemoteLogStreamIO`).

    Airflow's own implementation for S3 has the whole log in memory, more than once, to write and to read it.

    Args:
        base: the URL in S3 below which all logs are.
        folder: where this node's logs are until they are uploaded.
    """

    processors = ()

    def __init__(self, base: str, folder: Path) -> None:
        self._bucket, _, self._prefix = base.removeprefix("s3://").partition("/")
        self._folder = folder

    def upload(self, path: str | Path, _ti: object = None) -> None:
        """Append the file to the log of the same path, and delete it. It stays if S3 does not take it."""
        file = self._folder / path
        if not file.resolve().is_relative_to(self._folder.resolve()):
            log.warning("%s is not uploaded: it is not in %s", file, self._folder)
        elif file.is_file() and self._append(file, self._key(file.relative_to(self._folder))):
            file.unlink()
            with suppress(OSError):  # other logs are in it
                file.parent.rmdir()

    def stream(self, path: str, _ti: object = None) -> tuple[Sequence[str], list[Generator[str]]]:
        """The log's objects (one of workers, one of each triggerer), and the last lines of each of them."""
        pages = s3().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._key(path))
        found = sorted((each["Key"], each["Size"]) for page in pages for each in page.get("Contents", []))
        return [self._url(key) for key, _ in found], [self._lines(key, size) for key, size in found]

    def url(self, path: str | Path) -> str:
        """Where the log is, once it is uploaded."""
        return self._url(self._key(path))

    def _key(self, path: str | Path) -> str:
        return f"{self._prefix}/{path}"

    def _url(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def _append(self, file: Path, key: str) -> bool:
        """Whether the object now ends with the file.

        A task that was deferred may have resumed on another worker, which uploads the rest while this one is at it. So
        nothing is written that does not begin with what is there.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with file.open("rb") as new:
                    self._write(key, new)
            except (ClientError, BotoCoreError):
                log.warning("Attempt %s to append to %s has failed", attempt, self._url(key), exc_info=True)
            else:
                return True
        log.error("%s stays on this node", file)
        return False

    def _write(self, key: str, new: IO[bytes]) -> None:
        client, place = s3(), {"Bucket": self._bucket, "Key": key}
        try:
            old = client.get_object(**place)
        except client.exceptions.NoSuchKey:
            parts, condition = _parts([new]), {"IfNoneMatch": "*"}
        else:
            parts, condition = _parts([old["Body"], new]), {"IfMatch": old["ETag"]}
        first = next(parts, b"")
        if len(first) < PART_BYTES:
            client.put_object(**place, Body=first, **condition)
            return
        # The bucket's lifecycle deletes the parts of an upload that is not completed.
        upload = place | {"UploadId": client.create_multipart_upload(**place)["UploadId"]}
        etags = [client.upload_part(**upload, PartNumber=1, Body=first)["ETag"]]
        del first
        for part in parts:
            etags.append(client.upload_part(**upload, PartNumber=len(etags) + 1, Body=part)["ETag"])
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed}, **condition)

    def _lines(self, key: str, size: int) -> Generator[str]:
        left_out = max(0, size - SHOWN_BYTES)
        # To an empty object, no range applies.
        wanted = {"Range": f"bytes={left_out}-{size - 1}"} if left_out else {}
        try:
            with closing(s3().get_object(Bucket=self._bucket, Key=key, **wanted)["Body"]) as body:
                data = body.read()
        except (ClientError, BotoCoreError) as error:
            yield _event(f"{self._url(key)} cannot be read: {error}", "error")
        else:
            yield from end_of(data, left_out, f"The whole log: aws s3 cp '{self._url(key)}' .")


class Notice(str):
    """The line before the end of a log that says what is left out."""

    __slots__ = ()


def end_of(data: bytes, left_out: int, whole: str) -> Iterator[str]:
    """The lines of a log whose first bytes were left out, after one that says so, and where the whole log is."""
    if left_out:
        notice = f"The first {left_out / (1 << 20):,.1f} MiB of this log are not shown. {whole}"
        yield Notice(_event(notice, "warning"))
        data = data.partition(b"\n")[2] or data  # the first line has no beginning
    if data:
        # Not `splitlines`: events may contain other separators.
        yield from data.decode(errors="replace").removesuffix("\n").split("\n")


def _event(text: str, level: str) -> str:
    # Without a time, it is sorted before all others.
    return json.dumps({"event": text, "level": level})


def _parts(sources: Sequence[Any]) -> Iterator[bytes]:
    """The sources one after the other, each on lines of its own, in parts of equal size but the last."""
    part = bytearray()
    for source in sources:
        if part and not part.endswith(b"\n"):
            part += b"\n"
        while data := source.read(PART_BYTES - len(part)):
            part += data
            if len(part) == PART_BYTES:
                yield bytes(part)
                part.clear()
    if part:
        yield bytes(part)
