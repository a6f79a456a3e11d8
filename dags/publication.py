"""Publishes a folder as the current release of a bundle, and returns to an older release."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

from airflow_node.dag_release import Manifest, Pointer, Publication

from dags.archive import Archive
from dags.bucket import LostRaceError, ReleaseBucket, StoredPointer
from dags.comparison import summary
from dags.faults import DagsError
from dags.progress import say, step


def publish(
    bucket: ReleaseBucket, archive: Archive, *, by: str, base: StoredPointer | None = None, lock: str | None = None
) -> Publication:
    """Upload a release, and make it the current one if `base` still is.

    `base` is the pointer that the publisher knows of, by default today's; `lock` is the hash of the lock that the
    release was checked with. Killed at any point, this leaves the old release current or the new one. Raises DagsError;
    then nothing that nodes read has changed.
    """
    base = base or bucket.read_pointer()
    if not bucket.has_archive(archive.version):
        with step(f"uploading {archive.packed.seek(0, os.SEEK_END) / 2**20:.1f} MiB to {bucket.url}"):
            archive.packed.seek(0)
            bucket.write_archive(archive.version, archive.packed)
    manifest = _describe(bucket, archive, by, lock)
    if base.pointer is not None:
        say(summary(bucket.read_manifest(base.pointer.current.version), manifest))
    return _make_current(bucket, archive.version, base, by)


def rollback(bucket: ReleaseBucket, name: str, *, by: str) -> Publication:
    """Make an older release the current one again. `name` is what `ReleaseBucket.resolve` accepts."""
    base, version = bucket.read_pointer(), bucket.resolve(name)
    if base.pointer is None:
        raise DagsError(f"{bucket.url} has no current release: publish one first.")
    if not bucket.has_archive(version):
        raise DagsError(f"The archive of release {version[:12]} is not in {bucket.url}: publish its folder again.")
    if target := bucket.read_manifest(version):
        say(summary(bucket.read_manifest(base.pointer.current.version), target))
    return _make_current(bucket, version, base, by)


def _make_current(bucket: ReleaseBucket, version: str, base: StoredPointer, by: str) -> Publication:
    """Let the pointer name this release, if it still is that of `base`."""
    before = base.pointer
    if before is not None and before.current.version == version:
        say(f"release {version[:12]} is already the current one of {bucket.url}")
        return before.current
    sequence = before.current.sequence + 1 if before else 1
    publication = Publication(version=version, sequence=sequence, published=_now(), by=by)
    pointer = before.followed_by(publication) if before else Pointer(current=publication)
    try:
        bucket.write_pointer(pointer, base)
    except LostRaceError:
        raise DagsError(_lost(bucket, version)) from None
    say(f"release {version[:12]} is the current one of {bucket.url} (publication {sequence})")
    return publication


def _describe(bucket: ReleaseBucket, archive: Archive, by: str, lock: str | None) -> Manifest:
    """Write the manifest. If there is one, only a new check is added to it: the content is the same."""
    known = bucket.read_manifest(archive.version)
    if known is not None and lock in (None, known.lock):
        return known
    manifest = known or Manifest(
        version=archive.version,
        size=archive.size,
        created=_now(),
        by=by,
        files=archive.files,
        commit=archive.commit.sha if archive.commit else None,
        dirty=archive.commit.dirty if archive.commit else False,
    )
    manifest = replace(manifest, lock=lock)
    bucket.write_manifest(manifest)
    return manifest


def _lost(bucket: ReleaseBucket, version: str) -> str:
    now = bucket.read_pointer().pointer
    other = (
        f"{now.current.by} has published release {now.current.version[:12]} (at {now.current.published})"
        if now
        else "somebody has removed the pointer"
    )
    return (
        f"Not published: meanwhile {other} in {bucket.url}, and that stays. Yours is uploaded as {version[:12]}: "
        f"compare them with `diff current {version[:12]}`. If yours shall replace the other one, repeat the command."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
