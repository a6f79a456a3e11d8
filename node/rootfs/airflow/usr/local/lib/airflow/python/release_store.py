"""The releases of a DAG bundle on this node: fetched once, verified, never changed, removed when unused.

Beside the versions (version_store.py), `current.json` is the pointer to the release that was current when S3 was last
asked. The files of a release are read-only. Its folders are not, because Python keeps compiled modules in them.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from version_store import VersionStore

# Not for longer than this: a DAG author's module may have the name of one of the node's packages.
sys.path.append(str(Path(__file__).resolve().parents[1]))
try:
    from airflow_node import dag_release, files, retry
    from airflow_node.dag_release import Pointer, ReleaseError
    from airflow_node.log import one_line
finally:
    sys.path.pop()

NOT_FOUND = ("NoSuchKey", "404")


class ReleaseGoneError(ReleaseError):
    """S3 has no such object. Waiting does not bring it back."""


class ReleaseUnavailableError(ReleaseError):
    """S3 or this node stands in the way. A later attempt may succeed."""


@dataclass(frozen=True, kw_only=True)
class ReleaseStore(VersionStore):
    """The releases of one bundle on this node.

    Attributes:
        bucket: the bucket for DAGs.
        bundle: the bundle's name, with which its objects' keys begin.
    """

    bucket: str
    bundle: str

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
        return self._hold(version, functools.partial(self._bring_with_patience, version, seconds))

    def _bring_with_patience(self, version: str, seconds: float) -> None:
        retry.call(
            functools.partial(self._bring, version),
            what=f"release {version[:12]} of {self.bundle}",
            may_pass=lambda error: isinstance(error, ReleaseUnavailableError),
            pauses=retry.backoff(seconds),
        )

    def _bring_into_space(self, version: str) -> None:
        try:
            super()._bring_into_space(version)
        except OSError as error:
            raise ReleaseUnavailableError(f"The release cannot be stored on this node: {one_line(error)}") from None

    def _make(self, version: str, target: Path) -> None:
        key = dag_release.archive_key(self.bundle, version)
        with _s3_faults(f"s3://{self.bucket}/{key}"):
            archive = self._s3.get_object(Bucket=self.bucket, Key=key)["Body"]
            with contextlib.closing(archive):
                dag_release.unpack(archive, target, version)

    def _fallback(self) -> str | None:
        # The next start without S3 falls back on it.
        current = self.known()
        return current.current.version if current else None

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
