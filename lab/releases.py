"""Releases of DAGs in the lab. Each that is published has the files of the one before it, and what has changed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dags.archive import packed_folder
from dags.bucket import ReleaseBucket, dag_release
from dags.faults import DagsError
from dags.publication import publish, rollback
from dags.status import airflow_api, status
from lab.progress import LabError
from node.dag_bundles import DEFAULT_BUNDLE


def change(
    s3: Any, bucket: str, files: Mapping[str, bytes], deleted: Iterable[str] = (), *, bundle: str = DEFAULT_BUNDLE
) -> str:
    """Publish a release with these files, by their paths in it, and without the deleted ones. Its version.

    LabError if it cannot be published.
    """
    releases = ReleaseBucket(s3, bucket, bundle)
    try:
        base = releases.read_pointer()
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory, bundle)
            if base.pointer is None:
                folder.mkdir()
            else:
                version = base.pointer.current.version
                dag_release.unpack(releases.open_archive(version), folder, version)
            for path in [*deleted, *files]:
                (folder / path).unlink(missing_ok=path in files)  # files of a release are read-only
            for path, content in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
            with packed_folder(folder) as archive:
                return publish(releases, archive, by="the lab", base=base).version
    except DagsError as error:
        raise LabError(str(error)) from None


def make_current(s3: Any, bucket: str, version: str) -> None:
    """Return to an older release."""
    rollback(ReleaseBucket(s3, bucket, DEFAULT_BUNDLE), version, by="the lab")


def read_status(s3: Any, bucket: str, url: str, login: Mapping[str, str]) -> list[str]:
    """What `make dags-status` prints, with the login in the variables that it reads; LabError if it cannot."""
    try:
        return list(status(ReleaseBucket(s3, bucket, DEFAULT_BUNDLE), airflow_api(url, login)))
    except DagsError as error:
        raise LabError(str(error)) from None


def on_disk(root: Path) -> str:
    """The releases on the disk of a node, whose root directory this is, in a line. The one that it last made current
    has a `*`; only masters make releases current."""
    folder = root / "var/lib/airflow/bundles" / DEFAULT_BUNDLE
    try:
        pointer = dag_release.Pointer.from_json((folder / "current.json").read_bytes())
    except (OSError, dag_release.ReleaseError):
        pointer = None
    current = pointer.current.version if pointer else None
    names = sorted(path.name for path in (folder / "versions").glob("*"))
    return ", ".join(f"{name[:12]}{'*' if name == current else ''}" for name in names) or "none"
