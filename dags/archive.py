"""Packs files into the archive of a release: the same files always give the same version."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import zstandard
from airflow_node.dag_release import ReleaseFile

from dags.faults import DagsError
from dags.folder import read_folder

LEVEL = 9  # Python code becomes a fifth; a higher level costs more time than it saves


@dataclass(frozen=True, kw_only=True)
class Commit:
    """The Git commit of a folder, and whether the folder has changes that are not in it."""

    sha: str
    dirty: bool


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A packed release.

    Attributes:
        size: bytes of the unpacked archive.
        packed: the file with the packed archive.
        commit: where the folder comes from; None outside of a Git repository, or without Git.
    """

    version: str
    size: int
    files: tuple[ReleaseFile, ...]
    packed: IO[bytes]
    commit: Commit | None = None


@contextmanager
def packed_folder(folder: Path) -> Generator[Archive]:
    """The archive of a folder, which exists as long as the context.

    Raises FaultsError with everything in the folder that cannot be released, and DagsError if a file changes or
    vanishes meanwhile.
    """
    files = read_folder(folder)
    with tempfile.TemporaryFile(prefix="dags-") as packed:
        yield pack(files, packed, _commit(folder))


def pack(files: Mapping[str, Path], packed: IO[bytes], commit: Commit | None = None) -> Archive:
    """Write the archive of these files, by their paths in the release, to `packed`."""
    with zstandard.ZstdCompressor(level=LEVEL, threads=-1).stream_writer(packed, closefd=False) as compressor:
        plain = _Hashed(compressor)
        with tarfile.open(fileobj=cast("Any", plain), mode="w|", format=tarfile.PAX_FORMAT) as tar:
            described = tuple(_add(tar, path, files[path]) for path in sorted(files, key=str.encode))
    return Archive(version=plain.sha256.hexdigest(), size=plain.size, files=described, packed=packed, commit=commit)


class _Hashed:
    """The part of a file that tarfile needs: passes on what is written or read, and hashes it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> int:
        self._count(data)
        return self.file.write(data)

    def read(self, size: int = -1, /) -> bytes:
        data = self.file.read(size)
        self._count(data)
        return data

    def _count(self, data: bytes) -> None:
        self.sha256.update(data)
        self.size += len(data)


def _add(tar: tarfile.TarFile, path: str, source: Path) -> ReleaseFile:
    # No time, no owner, no other mode bits: they differ between checkouts of the same commit.
    member = tarfile.TarInfo(path)
    try:
        executable = bool(source.stat().st_mode & 0o100)
        member.size, member.mode = source.stat().st_size, 0o755 if executable else 0o644
        with source.open("rb") as file:
            content = _Hashed(file)
            tar.addfile(member, cast("Any", content))
    except OSError as error:
        raise DagsError(f"{path} changed while it was read ({error}). Repeat the command.") from None
    return ReleaseFile(path=path, size=member.size, sha256=content.sha256.hexdigest(), executable=executable)


def _commit(folder: Path) -> Commit | None:
    sha = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--", ".")
    return None if sha is None or changes is None else Commit(sha=sha.strip(), dirty=bool(changes.strip()))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
