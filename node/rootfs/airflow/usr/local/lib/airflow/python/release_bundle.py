"""Airflow's view of releases: the DAG bundle whose versions they are."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import IO, Any

# Airflow is installed only on nodes.
from airflow.configuration import conf  # ty: ignore[import-not-found]
from airflow.dag_processing.bundles.base import (  # ty: ignore[import-not-found]
    BaseDagBundle,
    BundleVersion,
    get_bundle_tracking_dir,
)
from release_store import ReleaseError, ReleaseGoneError, ReleaseStore

# A task waits that long for S3. Airflow fails a task without a heartbeat, but it is the supervisor that sends those.
TASK_SECONDS = 120
# A release that could not be fetched is not fetched again with each refresh, which is every 5 s.
PAUSE_SECONDS = 30
COMPLAINT_SECONDS = 60

log = logging.getLogger(__name__)


class ReleaseDagBundle(BaseDagBundle):
    """The DAGs of one bundle, as releases in the bucket for DAGs.

    With a version, it is that release and never another: a run's tasks and callbacks ask for the one with which the run
    began. Without, it is the current release, which `refresh` exchanges as a whole. The path differs between releases,
    so nothing ever imports half of one and half of another.

    A task finds its release read-only at `path`, which is also on its `sys.path`. A program that writes beside its
    project, such as dbt, gets a copy of its own: `shutil.copytree(Path(__file__).with_name("project"), directory)` in a
    `tempfile.TemporaryDirectory()`.
    """

    supports_versioning = True

    def __init__(self, *, bucket_name: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._store = ReleaseStore(
            bucket=bucket_name,
            bundle=self.name,
            folder=self.base_dir,
            tracking=get_bundle_tracking_dir(self.name),
            keep=conf.getint("dag_processor", "stale_bundle_cleanup_min_versions"),
            keep_seconds=conf.getint("dag_processor", "stale_bundle_cleanup_age_threshold"),
        )
        self._current: str | None = None
        # Keeps the release on this node for as long as the bundle is used.
        self._held: IO[str] | None = None
        self._not_before: dict[str, float] = {}
        self._complained = -math.inf

    def initialize(self) -> None:
        """Have the release on this node. ReleaseError if it cannot be had."""
        if self.version:
            self._held = self._store.hold(self.version, seconds=TASK_SECONDS)
        else:
            self._store.empty.mkdir(parents=True, exist_ok=True)
            self.refresh()
        super().initialize()

    def refresh(self) -> None:
        """Make the newest release the current one. What there is stays when that is not possible, with a log line.

        ReleaseError if there is none to stay with, ValueError for the release of a run.
        """
        if self.version:
            raise ValueError(f"The release of a run never changes: {self.name} {self.version}.")
        try:
            pointer = self._store.newest()
            if pointer is None:
                if self._store.known():
                    raise ReleaseGoneError("the bucket has neither a pointer nor a release any more")
            elif pointer.current.version != self._current and time.monotonic() >= self._not_before.get(
                pointer.current.version, 0
            ):
                self._exchange(pointer.current.version)
                self._store.remember(pointer)
        except ReleaseError as error:
            self._stay(error)

    def is_newest(self) -> bool:
        """Whether S3 says that this is the current release; False if it does not answer."""
        try:
            pointer = self._store.newest()
        except ReleaseError:
            return False
        return pointer is not None and pointer.current.version == self._current

    @property
    def version_here(self) -> str | None:
        """The version that this bundle has on this node; None before the first release."""
        return self.version or self._current

    def get_current_version(self) -> BundleVersion | None:
        """The same for Airflow."""
        return BundleVersion(self.version_here) if self.version_here else None

    @property
    def path(self) -> Path:
        """The release's folder. Without `initialize`, the one that was current on this node last."""
        version = self.version_here
        if version is None and (known := self._store.known()):
            version = known.current.version
        return self._store.path(version) if version else self._store.empty

    def _exchange(self, version: str) -> None:
        try:
            held = self._store.hold(version)
        except ReleaseError:
            self._not_before = {version: time.monotonic() + PAUSE_SECONDS}
            raise
        if self._held:
            self._held.close()
        self._held, self._current = held, version

    def _stay(self, error: ReleaseError) -> None:
        if self._current is None:
            known = self._store.known()
            if known is None:
                raise error
            self._exchange(known.current.version)
        if time.monotonic() >= self._complained + COMPLAINT_SECONDS:
            self._complained = time.monotonic()
            log.warning("%s: release %.12s stays the current one: %s", self.name, self._current, error)
