"""The releases of a DAG bundle on this node: fetched once, verified, never changed, removed when unused.

    <folder>/versions/<version>   whole releases only: each is unpacked elsewhere and renamed into its place
    <folder>/in-use/<version>     a lock file for each of them. Who uses a release holds it shared; who removes it,
                                  exclusively. Its time of modification is that of the last use
    <folder>/temporary            releases that are being unpacked or removed; never read
    <folder>/current.json         the pointer to the release that was current when S3 was last asked

Any process may be killed at any moment: its locks end with it, and what it left behind is in `temporary`. The files of
a release are read-only. Its folders are not, because Python keeps compiled modules in them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

# Not for longer than this: a DAG author's module may have the name of one of the node's packages.
sys.path.append(str(Path(__file__).resolve().parents[1]))
try:
    from airflow_node import dag_release, files, retry
    from airflow_node.dag_release import Pointer, ReleaseError
    from airflow_node.log import one_line
finally:
    sys.path.pop()

NOT_FOUND = ("NoSuchKey", "404")
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class ReleaseGoneError(ReleaseError):
    """S3 has no such object. Waiting does not bring it back."""


class ReleaseUnavailableError(ReleaseError):
    """S3 or this node stands in the way. A later attempt may succeed."""


@dataclass(frozen=True, kw_only=True)
class ReleaseStore:
    """The releases of one bundle on this node.

    Attributes:
        bucket: the bucket for DAGs.
        bundle: the bundle's name, with which its objects' keys begin.
        folder: the bundle's folder on this node.
        tracking: where Airflow notes the use of this bundle's versions. Removed with them, otherwise unused.
        keep: how many unused releases stay, the most recently used ones.
        keep_seconds: how long any release stays after its last use.
    """

    bucket: str
    bundle: str
    folder: Path
    tracking: Path
    keep: int
    keep_seconds: float

    def path(self, version: str) -> Path:
        """Where a release is if this node has it."""
        return self.folder / "versions" / version

    @property
    def empty(self) -> Path:
        """The DAG folder before the first release."""
        return self.folder / "empty"

    def newest(self) -> Pointer | None:
        """The current release according to S3; None if the bundle has none yet.

        ReleaseUnavailableError if S3 cannot be asked. ReleaseGoneError if there are releases, but no pointer: somebody
        has deleted it, which must not make all DAGs disappear.
        """
        key = dag_release.pointer_key(self.bundle)
        try:
            with _s3_faults(f"s3://{self.bucket}/{key}"):
                body = self._s3.get_object(Bucket=self.bucket, Key=key)["Body"]
                return Pointer.from_json(body.read(dag_release.MAX_POINTER_BYTES))
        except ReleaseGoneError:
            releases = dag_release.releases_prefix(self.bundle)
            with _s3_faults(f"s3://{self.bucket}/{releases}"):
                found = self._s3.list_objects_v2(Bucket=self.bucket, Prefix=releases, MaxKeys=1)
            if found["KeyCount"]:
                raise
            return None

    def known(self) -> Pointer | None:
        """The release that was current when this node last asked S3. The node has it."""
        try:
            return Pointer.from_json((self.folder / "current.json").read_bytes())
        except (FileNotFoundError, ReleaseError):
            return None

    def remember(self, pointer: Pointer) -> None:
        """Note the current release, which this node has."""
        files.write(self.folder / "current.json", pointer.to_json(), 0o640)

    def hold(self, version: str, *, seconds: float = 0) -> IO[str]:
        """Have a release on this node until the file is closed or the process ends. Without a request if it is there.

        While S3 cannot be reached, it is retried for that many seconds, then ReleaseUnavailableError. ReleaseGoneError
        if S3 has no such release, BrokenReleaseError if its content is not what its name says.
        """
        if not dag_release.VERSION.fullmatch(version):
            raise ReleaseGoneError(
                f"{version!r} is no release of {self.bundle}: their names have 64 hexadecimal digits."
            )
        lock = self._lock(version)
        try:
            if not self.path(version).is_dir():
                self._bring(version, seconds)
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
            # Removed, with its release, while this process waited for it.
            lock.close()

    def _bring(self, version: str, seconds: float) -> None:
        retry.call(
            functools.partial(self._fetch_unless_here, version),
            what=f"release {version[:12]} of {self.bundle}",
            may_pass=lambda error: isinstance(error, ReleaseUnavailableError),
            pauses=retry.backoff(seconds),
        )

    def _fetch_unless_here(self, version: str) -> None:
        with self._alone():
            if self.path(version).is_dir():
                return
            try:
                self._fetch_into_space(version)
            except OSError as error:
                raise ReleaseUnavailableError(f"The release cannot be stored on this node: {one_line(error)}") from None
            self._remove_unused(keep=self.keep, seconds=self.keep_seconds)

    def _fetch_into_space(self, version: str) -> None:
        try:
            self._fetch(version)
        except OSError as error:
            if error.errno not in NO_SPACE or not self._remove_unused(keep=0, seconds=0):
                raise
            self._fetch(version)

    @contextlib.contextmanager
    def _alone(self) -> Generator[None]:
        """Only one process of the node at a time fetches or removes releases of the bundle."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # What a killed process has left.
            shutil.rmtree(self._temporary, ignore_errors=True)
            yield

    def _fetch(self, version: str) -> None:
        key = dag_release.archive_key(self.bundle, version)
        place = self._place()
        try:
            with _s3_faults(f"s3://{self.bucket}/{key}"):
                archive = self._s3.get_object(Bucket=self.bucket, Key=key)["Body"]
                with contextlib.closing(archive):
                    dag_release.unpack(archive, place / version, version)
            # A node that loses its power must not find a whole name with half a content.
            os.sync()
            self.path(version).parent.mkdir(exist_ok=True)
            (place / version).rename(self.path(version))
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _remove_unused(self, *, keep: int, seconds: float) -> bool:
        """Remove releases beyond the ones to keep; whether there was one."""
        current = self.known()
        used = {path.name: path.stat().st_mtime for path in (self.folder / "in-use").iterdir()}
        by_age = sorted(used, key=lambda version: used[version], reverse=True)
        old = [version for version in by_age[keep:] if time.time() - used[version] >= seconds]
        # The one that the next start without S3 falls back on is not old.
        removed = [self._remove(version) for version in old if current is None or version != current.current.version]
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
        """A new folder, on the same file system as the releases."""
        self._temporary.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._temporary))

    @functools.cached_property
    def _s3(self) -> Any:
        # A task that finds its release does not wait for the SDK to be imported.
        import boto3
        from botocore.config import Config

        retries = {"mode": "standard", "total_max_attempts": 3}
        return boto3.client("s3", config=Config(connect_timeout=5, read_timeout=20, retries=retries))


@contextlib.contextmanager
def _s3_faults(what: str) -> Generator[None]:
    """Turn the SDK's errors into ours."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in NOT_FOUND:
            raise ReleaseGoneError(
                f"{what} does not exist. Publish the release again, or let the run continue on the current one."
            ) from None
        raise ReleaseUnavailableError(f"{what}: {one_line(error)}") from None
    except BotoCoreError as error:
        raise ReleaseUnavailableError(f"{what}: {one_line(error)}") from None
