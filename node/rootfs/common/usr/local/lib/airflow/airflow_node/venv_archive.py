"""Airflow's published virtual environment in the artifacts bucket: its name, its manifest, and how it is unpacked.

It consists of a few tar archives, which are unpacked in parallel, and a manifest with their names and hashes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from airflow_node import aws_request, metadata_service, record
from airflow_node.aws_request import AwsError

PREFIX = "environments"
# A file beside the environment: the hash of a manifest whose archives were broken.
BROKEN_MARK = "broken-manifest-sha256"
# To be raised when nodes of the previous release could not unpack what this one publishes.
LAYOUT = 1
# The largest pipe that Linux allows without privileges; with the default of 64 KiB the programs wait more often.
PIPE_BYTES = 1 << 20
NOT_FOUND = "404"
BAD_ENCODING = 61  # curl's exit code if it cannot decompress a response
CURL = (
    *("curl", "--silent", "--show-error", "--fail", "--compressed", "--connect-timeout", "10"),
    # A download that is slower than 100 KB/s for half a minute counts as interrupted.
    *("--speed-limit", "100000", "--speed-time", "30", "--write-out", "%{stderr}%{response_code}", "--config", "-"),
)
# The factor counts blocks of 512 bytes. Reading a whole pipe at a time instead of 10 KiB takes 5 % less time.
TAR = ("tar", "--extract", "--preserve-permissions", "--no-same-owner", f"--blocking-factor={PIPE_BYTES // 512}")


class BrokenArchiveError(Exception):
    """The objects in the bucket do not match their manifest. A retry would not help."""


class UnpackError(OSError):
    """The network or this node has failed; the next attempt may succeed."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One tar archive of the environment. Hash and size are those of the decompressed archive."""

    key: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The archives of one environment; `made_for` is for people who read the manifest."""

    made_for: str
    parts: tuple[Part, ...]

    def to_json(self) -> bytes:
        """The manifest as it is stored in the bucket."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read a manifest; BrokenArchiveError if it is invalid."""
        try:
            document = json.loads(text)
            parts = tuple(record.from_fields(Part, part) for part in document["parts"])
            if not parts:
                raise ValueError("no parts")
            return cls(made_for=str(document.get("made_for", "")), parts=parts)
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenArchiveError(f"its manifest cannot be read ({type(error).__name__})") from None


def made_for(lock_sha256: str) -> str:
    """Everything that the content of an environment depends on."""
    return f"layout {LAYOUT}, lock {lock_sha256}, Python {platform.python_version()}, {platform.machine()}"


def directory_of(lock_sha256: str) -> str:
    """The prefix in the bucket for the environment that this node would build from the lock."""
    return f"{PREFIX}/{hashlib.sha256(made_for(lock_sha256).encode()).hexdigest()}"


def manifest_key(lock_sha256: str) -> str:
    """The manifest's key. The manifest is written last, so the archives that it names are complete."""
    return f"{directory_of(lock_sha256)}.json"


def published(bucket: str, lock_sha256: str) -> bytes | None:
    """The manifest of the environment for the lock, this Python and this architecture; None if none is published."""
    try:
        return aws_request.get_object(bucket, manifest_key(lock_sha256))
    except AwsError as error:
        if error.code == "NoSuchKey":
            return None
        raise


def unpack(bucket: str, parts: Sequence[Part], target: Path) -> None:
    """Unpack all parts into the new directory `target`, at the same time.

    BrokenArchiveError and UnpackError say why `target` must not be used.
    """
    target.mkdir(parents=True)
    with ThreadPoolExecutor(max_workers=len(parts)) as pool:
        list(pool.map(lambda part: _unpack(bucket, part, target), parts))


def _unpack(bucket: str, part: Part, target: Path) -> None:
    """curl downloads and decompresses, Python computes the hash, tar writes the files."""
    with _start_curl(bucket, part.key) as curl, _start_tar(target) as tar:
        found = _pass_on(curl, tar)
        tar.communicate()
        *message, status = _open(curl.stderr).read().decode().split()
    if status == NOT_FOUND or curl.returncode == BAD_ENCODING:
        raise BrokenArchiveError(f"{part.key} is missing or damaged")
    if curl.returncode:
        raise UnpackError(f"{part.key} cannot be fetched ({' '.join(message)})")
    if found != (part.size, part.sha256):
        raise BrokenArchiveError(f"{part.key} holds {found[0]:,} bytes with the hash {found[1][:12]}...")
    if tar.returncode:
        raise UnpackError(f"{part.key} cannot be written (exit code {tar.returncode} of tar)")


def _start_curl(bucket: str, key: str) -> subprocess.Popen[bytes]:
    """curl reads the signature from its standard input, because every user may read a command line."""
    request = aws_request.Request(service="s3", url=aws_request.object_url(bucket, key))
    headers = aws_request.signed_headers(request, metadata_service.credentials(), datetime.now(UTC))
    lines = [f'url = "{request.url}"', *(f'header = "{name}: {value}"' for name, value in headers.items())]
    pipe = subprocess.PIPE
    curl = subprocess.Popen(CURL, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, pipesize=PIPE_BYTES)
    with _open(curl.stdin) as config:
        config.write("\n".join(lines).encode())
    return curl


def _start_tar(target: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*TAR, f"--directory={target}"], stdin=subprocess.PIPE, pipesize=PIPE_BYTES)


def _pass_on(curl: subprocess.Popen[bytes], tar: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Pass curl's output to tar; returns its size and hash, also if tar has failed."""
    source, sink = _open(curl.stdout), _open(tar.stdin)
    sha256, size, tar_reads = hashlib.sha256(), 0, True
    buffer = memoryview(bytearray(PIPE_BYTES))
    while count := os.readv(source.fileno(), [buffer]):
        sha256.update(buffer[:count])
        size += count
        if tar_reads:
            try:
                sink.write(buffer[:count])
            except BrokenPipeError:
                tar_reads = False
    return size, sha256.hexdigest()


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    """This end of a pipe with which a program was started."""
    if pipe is None:
        raise ValueError("the program was started without this pipe")
    return pipe
