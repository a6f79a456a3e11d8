"""Airflow's Git bundle on the nodes: DAGs of a repository, whose versions are its commits.

Imported only where a stack has such a bundle: the package that it needs does not load without the program git.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

# Airflow is installed only on nodes.
from airflow.configuration import conf  # ty: ignore[import-not-found]
from airflow.dag_processing.bundles.base import get_bundle_tracking_dir  # ty: ignore[import-not-found]
from airflow.providers.git.bundles.git import GitDagBundle  # ty: ignore[import-not-found]
from git.exc import GitCommandError, InvalidGitRepositoryError  # ty: ignore[import-not-found]
from version_store import VersionStore

# A host that does not answer is not asked again with each look for changes, which is every 5 s.
PAUSE_SECONDS = 30

log = logging.getLogger(__name__)


class CommitUnavailableError(Exception):
    """The host stands in the way. A later attempt may succeed."""


@dataclass(frozen=True, kw_only=True)
class CommitStore(VersionStore):
    """The commits of one repository on this node.

    Attributes:
        check_out: makes the bundle's commit at a path.
    """

    check_out: Callable[[Path], None]

    def hold(self, version: str) -> IO[str]:
        """Have a commit on this node until the file is closed or the process ends."""
        return self._hold(version, functools.partial(self._bring, version))

    def _make(self, version: str, target: Path) -> None:  # noqa: ARG002 - the bundle knows its version
        self.check_out(target)


class CommitDagBundle(GitDagBundle):
    """Airflow's Git bundle, except for what would harm a cluster.

    - A commit appears on the node as a whole, stays while a process uses it, and leaves the disk when it is old, as
      releases do (version_store.py).
    - While the host is away, the clone stays. Airflow deletes it after a fetch that failed, and with it the DAGs of a
      DAG processor that starts.
    - It tells the newest commit, so that the database never goes back (node_dag_processor.py).
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._current: str | None = None
        # Keeps the commit on this node for as long as the bundle is used.
        self._held: IO[str] | None = None
        self._reached = False
        self._not_before = -math.inf

    def initialize(self) -> None:
        """Have the commit of a run on this node, or the newest one. CommitUnavailableError if it cannot be had."""
        if self.version:
            self._held = self._store().hold(self.version)
            self.is_initialized = True
            return
        if time.monotonic() < self._not_before:
            raise CommitUnavailableError(f"{self.repo_url} could not be cloned and is not asked again yet")
        try:
            super().initialize()
        except Exception:
            self._not_before = time.monotonic() + PAUSE_SECONDS
            raise

    def refresh(self) -> None:
        """Make the newest commit the current one. What there is stays while the host is away."""
        super().refresh()
        self._current = self.repo.head.commit.hexsha

    def is_newest(self) -> bool:
        """Whether the host says that this is the newest commit; False if it does not answer.

        Otherwise the newest one has become the current one.
        """
        before = self._current
        self.refresh()
        return self._reached and self._current == before

    @property
    def version_here(self) -> str | None:
        """The commit that this bundle has on this node; None before the first one."""
        return self.version or self._current

    def _store(self) -> CommitStore:
        # Not kept: it refers to this bundle, whose commit would be held until Python collects such cycles.
        return CommitStore(
            folder=self.base_dir,
            tracking=get_bundle_tracking_dir(self.name),
            keep=conf.getint("dag_processor", "stale_bundle_cleanup_min_versions"),
            keep_seconds=conf.getint("dag_processor", "stale_bundle_cleanup_age_threshold"),
            check_out=self._check_out,
        )

    def _check_out(self, target: Path) -> None:
        """Have Airflow make the run's commit at this path."""
        in_place, self.repo_path = self.repo_path, target
        try:
            super().initialize()
        finally:
            self.repo_path = in_place

    def _fetch_bare_repo(self) -> None:
        """Fetch into the node's clone. If that fails, its last state is good enough, unless the commit is not in it."""
        if "origin" not in self.bare_repo.remotes:
            # What a killed process has left. Airflow clones again.
            raise InvalidGitRepositoryError(self.bare_repo_path)
        if time.monotonic() >= self._not_before:
            try:
                super()._fetch_bare_repo()
            except GitCommandError as error:
                self._reached, self._not_before = False, time.monotonic() + PAUSE_SECONDS
                log.warning("%s: %s cannot be reached: %s", self.name, self.repo_url, _reason(error))
            else:
                self._reached = True
                return
        if not self._has_version(self.bare_repo, self.version or self.tracking_ref):
            raise CommitUnavailableError(
                f"{self.name}: {self.version or self.tracking_ref} is not on this node, and {self.repo_url} cannot be "
                "reached: see the line above"
            )


def _reason(error: GitCommandError) -> str:
    return " ".join(str(error.stderr or error).split())
