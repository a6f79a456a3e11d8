"""The releases of one bundle in the dags bucket. Every refusal of AWS becomes a sentence."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from airflow_node import dag_release
from airflow_node.dag_release import Manifest, Pointer, ReleaseError
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound, TokenRetrievalError

from dags.faults import DagsError

# 409: another conditional write to the same key is under way.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_DENIED = {"AccessDenied", "403", "AllAccessDisabled"}
_BAD_CREDENTIALS = {"InvalidAccessKeyId", "ExpiredToken", "SignatureDoesNotMatch", "InvalidToken"}
_SHORTEST_PREFIX = 6


class LostRaceError(Exception):
    """Another publisher has replaced the pointer since it was read."""


@dataclass(frozen=True, kw_only=True)
class StoredPointer:
    """The pointer as it was read; `etag` is None if there was none."""

    pointer: Pointer | None
    etag: str | None


@dataclass(frozen=True, kw_only=True)
class StoredRelease:
    """A release in the bucket, and when it was uploaded last."""

    version: str
    uploaded: datetime


class ReleaseBucket:
    """A bundle's part of the dags bucket. Every method raises DagsError if AWS refuses or cannot be reached."""

    def __init__(self, s3: Any, bucket: str, bundle: str) -> None:
        """`s3` is boto3's client."""
        if not dag_release.BUNDLE.fullmatch(bundle):
            raise DagsError(
                f"{bundle!r} cannot be the name of a bundle: use 1 to 63 lower-case letters, digits, `-` and `_`, and "
                "begin with a letter or a digit."
            )
        self._s3, self.bucket, self.bundle = s3, bucket, bundle

    @property
    def url(self) -> str:
        """The bundle's place, for people."""
        return f"s3://{self.bucket}/{self.bundle}"

    def read_pointer(self) -> StoredPointer:
        """The pointer, if the bundle has one."""
        found = self._get(dag_release.pointer_key(self.bundle))
        if found is None:
            return StoredPointer(pointer=None, etag=None)
        return StoredPointer(pointer=self._parsed(Pointer.from_json, found["Body"].read()), etag=found["ETag"])

    def write_pointer(self, pointer: Pointer, base: StoredPointer) -> None:
        """Replace the pointer if it is still that of `base`; otherwise raise LostRaceError, and change nothing."""
        condition = {"IfNoneMatch": "*"} if base.etag is None else {"IfMatch": base.etag}
        try:
            self._put(dag_release.pointer_key(self.bundle), pointer.to_json(), "application/json", **condition)
        except LostRaceError:
            # It may have been this very request: its response was lost, and boto3 has repeated it.
            if self.read_pointer().pointer != pointer:
                raise

    def has_archive(self, version: str) -> bool:
        """Whether the release's archive is in the bucket."""
        return self._exists(dag_release.archive_key(self.bundle, version))

    def write_archive(self, version: str, packed: IO[bytes]) -> None:
        """Upload an archive, unless another publisher has just uploaded the same."""
        key = dag_release.archive_key(self.bundle, version)
        try:
            self._put(key, packed, "application/zstd", IfNoneMatch="*", ChecksumAlgorithm="SHA256")
        except LostRaceError:
            if not self.has_archive(version):
                raise DagsError(f"{self.url} is being written by another publisher: repeat the command.") from None

    def open_archive(self, version: str) -> IO[bytes]:
        """The packed archive as a stream."""
        found = self._get(dag_release.archive_key(self.bundle, version))
        if found is None:
            raise DagsError(f"The archive of release {version[:12]} is not in {self.url}.")
        return found["Body"]

    def read_manifest(self, version: str) -> Manifest | None:
        """The description of a release, if it has one."""
        found = self._get(dag_release.manifest_key(self.bundle, version))
        return None if found is None else self._parsed(Manifest.from_json, found["Body"].read())

    def described(self, version: str) -> Manifest:
        """The description of a release that has to have one."""
        if manifest := self.read_manifest(version):
            return manifest
        raise DagsError(f"{self.url} has no release {version[:12]}; `list` prints those that are there.")

    def write_manifest(self, manifest: Manifest) -> None:
        """Describe a release."""
        self._put(dag_release.manifest_key(self.bundle, manifest.version), manifest.to_json(), "application/json")

    def releases(self) -> Iterator[StoredRelease]:
        """All releases whose archives are in the bucket."""
        prefix, ending = dag_release.releases_prefix(self.bundle), ".tar.zst"
        with self._explained():
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for found in page.get("Contents", []):
                    version = found["Key"].removeprefix(prefix).removesuffix(ending)
                    if found["Key"].endswith(ending) and dag_release.VERSION.fullmatch(version):
                        yield StoredRelease(version=version, uploaded=found["LastModified"])

    def resolve(self, name: str) -> str:
        """The version that a user means by `current`, `previous`, a version, or how it begins."""
        if name in ("current", "previous"):
            return self._of_pointer(name)
        if dag_release.VERSION.fullmatch(name):
            return name
        if len(name) < _SHORTEST_PREFIX or not set(name) <= set("0123456789abcdef"):
            raise DagsError(
                f"{name!r} names no release: use `current`, `previous`, or at least {_SHORTEST_PREFIX} characters of a "
                "version, as `list` prints it."
            )
        found = sorted(release.version for release in self.releases() if release.version.startswith(name))
        if len(found) != 1:
            what = "No release" if not found else f"{len(found)} releases"
            raise DagsError(f"{what} in {self.url} start with {name}; `list` prints those that are there.")
        return found[0]

    def _of_pointer(self, name: str) -> str:
        pointer = self.read_pointer().pointer
        if pointer is None:
            raise DagsError(f"{self.url} has no current release: nothing has been published yet.")
        if name == "current":
            return pointer.current.version
        earlier = [each.version for each in pointer.history if each.version != pointer.current.version]
        if not earlier:
            raise DagsError(f"{self.url} has no release before the current one.")
        return earlier[0]

    def _exists(self, key: str) -> bool:
        # Not by asking for the object: S3 tells that one is missing only to who may list the whole bucket. Others are
        # denied. https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html#API_HeadObject_RequestSyntax
        with self._explained():
            found = self._s3.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=1)
        return any(each["Key"] == key for each in found.get("Contents", []))

    def _get(self, key: str) -> Any:
        if not self._exists(key):
            return None
        with self._explained():
            return self._s3.get_object(Bucket=self.bucket, Key=key)

    def _put(self, key: str, body: bytes | IO[bytes], kind: str, **conditions: Any) -> None:
        with self._explained():
            try:
                self._s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=kind, **conditions)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                # The object that the condition names may have been deleted.
                if code in _LOST or ("IfMatch" in conditions and code == "NoSuchKey"):
                    raise LostRaceError(key) from None
                raise

    def _parsed(self, parse: Any, text: bytes) -> Any:
        try:
            return parse(text)
        except ReleaseError as error:
            raise DagsError(f"{self.url}: {error}.") from None

    @contextmanager
    def _explained(self) -> Generator[None]:
        """Turn an error of AWS into a sentence that says what to do."""
        try:
            yield
        except ClientError as error:
            raise DagsError(self._explanation(error)) from None
        except BotoCoreError as error:
            raise DagsError(unreachable(error)) from None

    def _explanation(self, error: ClientError) -> str:
        code, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code == "NoSuchBucket":
            return f"The bucket {self.bucket} does not exist: check --stack or --bucket, and that the stack is there."
        if code in _DENIED:
            return (
                f"AWS denied {error.operation_name} on {self.url}. The credentials need the publisher policy of this "
                f"bundle (a stack output), and must belong to the stack's account. AWS returned {code}: {said}"
            )
        if code in _BAD_CREDENTIALS:
            return f"AWS does not accept the credentials ({code}): renew them, for example with `aws sso login`."
        return f"AWS refused {error.operation_name} on {self.url}: {code}: {said}"


def unreachable(error: BotoCoreError) -> str:
    """What to do where a request did not get as far as AWS."""
    said = str(error).rstrip(".")
    if isinstance(error, NoCredentialsError | TokenRetrievalError | ProfileNotFound):
        return (
            f"There are no AWS credentials ({said}). Provide them as for the AWS CLI, for example with `aws sso "
            "login` or AWS_PROFILE."
        )
    return f"The request to AWS failed: {said}. Check the network and the region, then repeat."
