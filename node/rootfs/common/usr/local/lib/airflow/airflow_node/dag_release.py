"""A release of a DAG folder: where it is in the bucket, how it is described, and how it is unpacked.

A release is a tar archive, packed by zstd. Its version is the hash of the unpacked archive, so a version never changes
its content. One small pointer for each bundle names the current release.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import zstandard

from airflow_node import record

FORMAT = 1
"""Raise it when a node of today could not use what is written; it then keeps the release that it has."""
BUNDLE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
VERSION = re.compile(r"[0-9a-f]{64}")

# A release is downloaded to every node, and a node keeps several.
MAX_BYTES = 2 << 30
MAX_FILES = 100_000
MAX_NAME_BYTES = 255  # Linux's limit for one name in a path
MAX_PATH_BYTES = 1000  # Airflow stores a file's path, including the bundle's folder, in 2,000 characters
MAX_HISTORY = 50
MAX_POINTER_BYTES = 64 << 10


class ReleaseError(Exception):
    """What is in the bucket cannot be used."""


class BrokenReleaseError(ReleaseError):
    """It is not what it should be, and will not mend by itself."""


class UnknownFormatError(ReleaseError):
    """It was written for a newer release of this project than this node runs."""


def pointer_key(bundle: str) -> str:
    """The pointer's key. It is written last: the release that it names is complete."""
    return f"{bundle}/current.json"


def releases_prefix(bundle: str) -> str:
    """What the keys of all releases of a bundle start with."""
    return f"{bundle}/releases/"


def archive_key(bundle: str, version: str) -> str:
    """The key of a release's archive."""
    return f"{releases_prefix(bundle)}{version}.tar.zst"


def manifest_key(bundle: str, version: str) -> str:
    """The key of the description of a release."""
    return f"{releases_prefix(bundle)}{version}.json"


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A release that was made current: when (UTC, ISO 8601), by whom, and as which in the bundle's sequence."""

    version: str
    sequence: int
    published: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """Names the current release of a bundle, and those that were current before it, newest first.

    The sequence grows by one with each publication, also with one that returns to an older release: of two pointers,
    it tells the newer one.
    """

    current: Publication
    history: tuple[Publication, ...] = ()

    def followed_by(self, publication: Publication) -> Pointer:
        """The next pointer. It forgets what has been current before the last 50 publications."""
        return Pointer(current=publication, history=(self.current, *self.history)[:MAX_HISTORY])

    def to_json(self) -> bytes:
        """As it is stored in the bucket."""
        history = [asdict(publication) for publication in self.history]
        return json.dumps({"format": FORMAT, **asdict(self.current), "history": history}, indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Pointer:
        """Read it. Raises UnknownFormatError, and BrokenReleaseError if it is no pointer."""
        fields = _fields(text, "the pointer")
        try:
            current, *history = map(_publication, [fields, *fields.get("history", [])])
        except (TypeError, ValueError) as error:
            raise BrokenReleaseError(f"the pointer cannot be read: {error}") from None
        return cls(current=current, history=tuple(history))


@dataclass(frozen=True, kw_only=True)
class ReleaseFile:
    """A file of a release. The path is relative, with `/`."""

    path: str
    size: int
    sha256: str
    executable: bool = False


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Describes a release to people: nodes need only its version.

    Attributes:
        size: bytes of the unpacked archive.
        created: when it was uploaded first (UTC, ISO 8601).
        commit: the Git commit of the folder, None outside of a repository.
        dirty: whether the folder had changes that are not in that commit.
        lock: SHA-256 of the nodes' lock with which all its DAGs were imported; None if that was not checked.
    """

    version: str
    size: int
    created: str
    by: str
    files: tuple[ReleaseFile, ...]
    commit: str | None = None
    dirty: bool = False
    lock: str | None = None

    def to_json(self) -> bytes:
        """As it is stored in the bucket."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read it. Raises UnknownFormatError, and BrokenReleaseError if it is no manifest."""
        fields = _fields(text, "the manifest")
        try:
            files = tuple(record.from_fields(ReleaseFile, file) for file in fields["files"])
            return record.from_fields(cls, {**fields, "files": files})
        except (KeyError, TypeError) as error:
            raise BrokenReleaseError(f"the manifest cannot be read: {error}") from None


def unpack(archive: IO[bytes], target: Path, version: str) -> None:
    """Unpack the packed archive of a release into the new directory `target`.

    Raises BrokenReleaseError if the archive is not that of this version, or contains anything but files with relative
    paths; errors of the stream and of the disk pass through. Because the hash is known only at the end, use nothing of
    `target` before this returns. Files cannot be written to; directories can, so that their owner can remove them.
    """
    target.mkdir(parents=True)
    target.chmod(0o755)  # here as below, regardless of the umask
    try:
        with zstandard.ZstdDecompressor().stream_reader(archive) as unpacked:
            tar = _Hashed(unpacked)
            _extract(tar, target)
            while tar.read(1 << 20):  # Python stops reading at the end mark
                pass
    except (zstandard.ZstdError, tarfile.TarError) as error:
        raise BrokenReleaseError(f"the archive of release {version[:12]} cannot be unpacked: {error}") from None
    if (found := tar.sha256.hexdigest()) != version:
        raise BrokenReleaseError(f"the archive of release {version[:12]} has the content of {found[:12]}")


class _Hashed(io.RawIOBase):
    """A stream that hashes what is read from it, and ends in an error where no release is that large."""

    def __init__(self, source: IO[bytes]) -> None:
        self.source = source
        self.sha256 = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        chunk = self.source.read(size)
        self.size += len(chunk)
        if self.size > MAX_BYTES:
            raise BrokenReleaseError(f"the archive is larger than {MAX_BYTES:,} bytes")
        self.sha256.update(chunk)
        return chunk


def _extract(tar: _Hashed, target: Path) -> None:
    files: set[str] = set()
    directories: set[str] = {""}
    with tarfile.open(fileobj=tar, mode="r|") as archive:
        for member in archive:
            if len(files) == MAX_FILES:
                raise BrokenReleaseError(f"the archive has more than {MAX_FILES:,} files")
            content = archive.extractfile(member) if member.isreg() else None
            if content is None or not _is_safe(member.name) or member.name in files | directories:
                raise BrokenReleaseError(f"the archive contains {member.name!r}, which no release may contain")
            _make_parents(target, member.name, files, directories)
            files.add(member.name)
            mode = 0o555 if member.mode & 0o100 else 0o444
            with os.fdopen(os.open(target / member.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
            (target / member.name).chmod(mode)
            archive.members = []  # ty: ignore[missing-attribute] - tarfile would keep them all in memory


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    return "\0" not in path and not {"", ".", ".."} & set(parts)


def _make_parents(target: Path, path: str, files: set[str], directories: set[str]) -> None:
    parts = path.split("/")[:-1]
    for length in range(1, len(parts) + 1):
        parent = "/".join(parts[:length])
        if parent in files:
            raise BrokenReleaseError(f"the archive contains {parent!r} both as a file and as a directory")
        if parent not in directories:
            (target / parent).mkdir()
            (target / parent).chmod(0o755)
            directories.add(parent)


def _fields(text: bytes, what: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
        number = fields["format"]
        if not isinstance(number, int):
            raise TypeError(f"format is {number!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenReleaseError(f"{what} cannot be read ({type(error).__name__}: {error})") from None
    if number > FORMAT:
        raise UnknownFormatError(f"{what} has format {number}; known is {FORMAT}: update the nodes and this program")
    return fields


def _publication(fields: Any) -> Publication:
    publication = record.from_fields(Publication, fields)
    if not isinstance(publication.version, str) or not VERSION.fullmatch(publication.version):
        raise ValueError(f"{publication.version!r} is no version")
    if not isinstance(publication.sequence, int):
        raise ValueError(f"{publication.sequence!r} is no number in a sequence")
    return publication
