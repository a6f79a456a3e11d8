"""Airflow's dag-processor, for versions: `python -m node_dag_processor` is `airflow dag-processor`.

Airflow already refreshes a bundle on each master whose version is not the one in the database. That leaves the seconds
in which one master has the new release and the other does not. In them, this keeps the database from going back. What
is said here of releases and of S3 is true of the commits of a Git bundle and of its host, too.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections import OrderedDict
from collections.abc import Generator
from typing import Any

# Airflow is installed only on nodes.
from airflow.__main__ import main as airflow  # ty: ignore[import-not-found]
from airflow.cli.commands import dag_processor_command  # ty: ignore[import-not-found]
from airflow.dag_processing.manager import DagFileProcessorManager  # ty: ignore[import-not-found]
from airflow.models.dag import DagModel  # ty: ignore[import-not-found]
from airflow.models.dagbundle import DagBundleModel  # ty: ignore[import-not-found]
from airflow.utils.session import create_session  # ty: ignore[import-not-found]
from sqlalchemy import select, update  # ty: ignore[import-not-found]


class ReleaseProcessor(DagFileProcessorManager):
    """Parses each release as a whole, and writes only what belongs to the newest one.

    The row of the bundle names the release that the database holds. It is exchanged only by a processor that has asked
    S3 while it kept the others from exchanging it, and results are written only while the row names their release.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._parsed: dict[str, str | None] = {}
        self._refused: set[str] = set()

    def handle_removed_files(self, known_files: dict[str, set[Any]]) -> None:
        """With a new release, parse every file anew. Those that wait keep their turn, lest many releases starve some.

        Airflow compares files by their names only. It would parse those that wait in the old release, and store what it
        finds there as the new one's.
        """
        versions = {name: bundle.version_here for name, bundle in self._releases().items()}
        changed = {name for name, version in versions.items() if self._parsed.get(name) != version}
        self._parsed = {name: version for name, version in versions.items() if name not in self._refused}
        for file in {*self._file_stats, *self._processors}:
            if file.bundle_name in changed and not file.bundle_version:
                self._parse_anew(file)
        found = {file: file for files in known_files.values() for file in files}
        self._file_queue = OrderedDict((found.get(file, file), None) for file in self._file_queue)
        # A version that is none has Airflow refresh this bundle again, and in full.
        self._bundle_versions |= dict.fromkeys(self._refused, "")
        # Callbacks run on the release of their run, whether or not the newest one has the file.
        callbacks = {file for file in (*self._file_queue, *self._processors) if file.bundle_version}
        super().handle_removed_files({**known_files, "": callbacks})

    def _parse_anew(self, file: Any) -> None:
        if file in self._file_stats:
            # Otherwise it is parsed again after half a minute only.
            self._file_stats[file].last_finish_time = None
        if process := self._processors.pop(file, None):
            process.kill(signal.SIGKILL)
            process.close()

    def update_bundle_state(self, bundle_name: str, **state: Any) -> None:
        """Note the refresh, and the release unless S3 has a newer one by now."""
        bundle = self._releases().get(bundle_name)
        if bundle is None:
            super().update_bundle_state(bundle_name, **state)
            return
        values = {"last_refreshed": state["last_refreshed"]}
        self._refused.discard(bundle_name)
        with create_session() as session:
            row = select(DagBundleModel.version).where(DagBundleModel.name == bundle_name)
            if session.scalar(row.with_for_update()) != bundle.version_here:
                if bundle.is_newest():
                    values["version"] = bundle.version_here
                else:
                    self._refused.add(bundle_name)
            session.execute(update(DagBundleModel).where(DagBundleModel.name == bundle_name).values(**values))

    def persist_parsing_result(self, *, bundle_name: str, session: Any, **result: Any) -> None:
        """Write what was found in a file of the newest release."""
        with self._stored_release(bundle_name) as is_this:
            if is_this:
                self._refuse_ids_of_other_bundles(bundle_name, session, **result)
                super().persist_parsing_result(bundle_name=bundle_name, session=session, **result)
                session.commit()

    def _refuse_ids_of_other_bundles(
        self, bundle_name: str, session: Any, *, parsing_result: Any, relative_fileloc: str, **_: Any
    ) -> None:
        """Turn a DAG whose id another bundle uses into an import error of its file.

        With Airflow alone, each bundle overwrites the other's DAG whenever it is parsed, and runs change their code.
        """
        others = [bundle.name for bundle in self._dag_bundles if bundle.name != bundle_name]
        dags = {dag.dag_id: dag for dag in parsing_result.serialized_dags}
        if not others or not dags:
            return
        found = select(DagModel.dag_id, DagModel.bundle_name, DagModel.relative_fileloc).where(
            DagModel.dag_id.in_(dags), DagModel.bundle_name.in_(others), DagModel.is_stale.is_(False)
        )
        errors = []
        for dag_id, owner, file in session.execute(found):
            del dags[dag_id]
            errors.append(
                f"The DAG id {dag_id!r} is taken by {file} in the bundle {owner!r}. DAG ids are unique in a cluster:"
                " choose another one here, or delete that DAG first."
            )
        if errors:
            parsing_result.serialized_dags = list(dags.values())
            known = parsing_result.import_errors or {}
            message = "\n".join([*([known[relative_fileloc]] if relative_fileloc in known else []), *errors])
            parsing_result.import_errors = {**known, relative_fileloc: message}

    def deactivate_deleted_dags(self, bundle_name: str, present: set[Any]) -> None:
        """Mark what the newest release has no more."""
        with self._stored_release(bundle_name) as is_this:
            if is_this:
                super().deactivate_deleted_dags(bundle_name, present)

    @contextlib.contextmanager
    def _stored_release(self, bundle_name: str) -> Generator[bool]:
        """Whether the database holds this master's release, which stays so within the context.

        Nor does another master write what it has found. Both parse the same new files at the same time, and Airflow's
        dag-processor exits when another has just inserted the row that it inserts (apache/airflow#68263). The lock has
        a session of its own, because the one in which results are written is committed in between, for permissions.
        """
        bundle = self._releases().get(bundle_name)
        if bundle is None:
            yield True
            return
        row = select(DagBundleModel.version).where(DagBundleModel.name == bundle_name)
        with create_session(scoped=False) as session:
            yield session.scalar(row.with_for_update(key_share=True)) == bundle.version_here

    def _releases(self) -> dict[str, Any]:
        """The bundles that can tell their newest version: those of release_bundle.py and of git_bundle.py."""
        return {bundle.name: bundle for bundle in self._dag_bundles if hasattr(bundle, "is_newest")}


def main() -> None:
    """Run the command with this class in the place of its own."""
    dag_processor_command.DagFileProcessorManager = ReleaseProcessor
    sys.argv = ["airflow", "dag-processor"]
    airflow()


if __name__ == "__main__":
    main()
