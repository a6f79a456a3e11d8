"""The versions of a DAG bundle on this node: brought once, never changed, removed when unused.

    <folder>/versions/<version>   whole versions only: each is made elsewhere and renamed into its place
    <folder>/in-use/<version>     a lock file for each of them. Who uses a version holds it shared; who removes it,
                                  exclusively. Its time of modification is that of the last use
    <folder>/temporary            versions that are being made or removed; never read

Any process may be killed at any moment: its locks end with it, and what it left behind is in `temporary`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, kw_only=True)
class VersionStore(ABC):
    """The versions of one bundle on this node.

    Attributes:
        folder: the bundle's folder on this node.
        tracking: where Airflow notes the use of this bundle's versions. Removed with them, otherwise unused.
        keep: how many unused versions stay, the most recently used ones.
        keep_seconds: how long any version stays after its last use.
    """

    folder: Path
    tracking: Path
    keep: int
    keep_seconds: float

    @abstractmethod
    def _make(self, version: str, target: Path) -> None:
        """Make the version at `target`, which does not exist."""

    def _fallback(self) -> str | None:
        """The version that stays, however old it is."""
        return None

    def path(self, version: str) -> Path:
        """Where a version is if this node has it."""
        return self.folder / "versions" / version

    def _hold(self, version: str, bring: Callable[[], None]) -> IO[str]:
        """Have a version on this node until the file is closed or the process ends; `bring` it if it is not there."""
        lock = self._lock(version)
        try:
            if not self.path(version).is_dir():
                bring()
        except BaseException:
            lock.close()
            raise
        return lock

    def _lock(self, version: str) -> IO[str]:
        file = self.folder / "in-use" / version
        file.parent.mkdir(parents=True, exist_ok=True)
        while True:
            lock = file.open("a")
            fcntl.flock(lock, fcntl.LOCK_SH)
            os.utime(lock.fileno())
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock.fileno()), file.stat()):
                    return lock
            # Removed, with its version, while this process waited for it.
            lock.close()

    def _bring(self, version: str) -> None:
        """Make the version unless it is there, and remove what is unused. Only one process of the node at a time."""
        with self._alone():
            if self.path(version).is_dir():
                return
            self._bring_into_space(version)
            self._remove_unused(keep=self.keep, seconds=self.keep_seconds)

    def _bring_into_space(self, version: str) -> None:
        try:
            self._make_aside(version)
        except OSError as error:
            if error.errno not in NO_SPACE or not self._remove_unused(keep=0, seconds=0):
                raise
            self._make_aside(version)

    @contextlib.contextmanager
    def _alone(self) -> Generator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # What a killed process has left.
            shutil.rmtree(self._temporary, ignore_errors=True)
            yield

    def _make_aside(self, version: str) -> None:
        place = self._place()
        try:
            self._make(version, place / version)
            # A node that loses its power must not find a whole name with half a content.
            os.sync()
            self.path(version).parent.mkdir(exist_ok=True)
            (place / version).rename(self.path(version))
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _remove_unused(self, *, keep: int, seconds: float) -> bool:
        """Remove versions beyond the ones to keep; whether there was one."""
        fallback = self._fallback()
        used = {path.name: path.stat().st_mtime for path in (self.folder / "in-use").iterdir()}
        by_age = sorted(used, key=lambda version: used[version], reverse=True)
        old = [version for version in by_age[keep:] if time.time() - used[version] >= seconds]
        removed = [self._remove(version) for version in old if version != fallback]
        return any(removed)

    def _remove(self, version: str) -> bool:
        file = self.folder / "in-use" / version
        with file.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            place = self._place()
            was_there = self.path(version).is_dir()
            if was_there:
                self.path(version).rename(place / version)
            (self.tracking / version).unlink(missing_ok=True)
            file.unlink()
        shutil.rmtree(place, ignore_errors=True)
        return was_there

    @property
    def _temporary(self) -> Path:
        return self.folder / "temporary"

    def _place(self) -> Path:
        """A new folder, on the same file system as the versions."""
        self._temporary.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._temporary))
