"""The decisions of the dag-processor. tests/cluster/test_dag_releases.py has it run in Airflow, on two masters."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.node.programs import load

OLD, NEW = "1" * 64, "2" * 64


@dataclass(frozen=True)
class _File:
    """Airflow's DagFileInfo: its folder does not count when two are compared."""

    rel_path: str
    bundle_path: str = field(compare=False, default="/old")
    bundle_name: str = "dags"
    bundle_version: str | None = None


class _Manager:
    """What Airflow's DagFileProcessorManager does for its children, as far as they rely on it."""

    def __init__(self) -> None:
        self._dag_bundles: list[Any] = []
        self._file_queue: dict[_File, None] = {}
        self._file_stats: dict[_File, Any] = {}
        self._processors: dict[_File, Any] = {}
        self._bundle_versions: dict[str, str] = {}
        self.present: set[_File] = set()
        self.written: list[Any] = []

    def handle_removed_files(self, known_files: dict[str, set[_File]]) -> None:
        self.present = set().union(*known_files.values())

    def update_bundle_state(self, bundle_name: str, **state: Any) -> None:
        self.written.append((bundle_name, state))

    def persist_parsing_result(self, *, bundle_name: str, session: Any, **result: Any) -> None:  # noqa: ARG002
        self.written.append((bundle_name, result))

    def deactivate_deleted_dags(self, bundle_name: str, present: set[_File]) -> None:
        self.written.append((bundle_name, present))


class _Bundle:
    """A bundle of releases or of commits."""

    name = "dags"

    def __init__(self) -> None:
        self.version_here: str | None = OLD
        self.newest = OLD

    def is_newest(self) -> bool:
        return self.newest == self.version_here


class _Statement:
    """A statement for the row of the bundle."""

    def __init__(self, *_: Any) -> None:
        self.written: dict[str, Any] = {}

    def where(self, *_: Any) -> _Statement:
        return self

    def with_for_update(self, **_: Any) -> _Statement:
        return self

    def values(self, **values: Any) -> _Statement:
        self.written = values
        return self


class _Column:
    """A column in a condition."""

    def in_(self, _: Any) -> None: ...

    def is_(self, _: Any) -> None: ...


class _Database:
    """The row of the bundle, for SQLAlchemy's session."""

    def __init__(self) -> None:
        self.row: dict[str, Any] = {"version": OLD}
        self.locked = False
        self.commits: list[bool] = []
        self.taken: list[tuple[str, str, str]] = []

    def scalar(self, _: _Statement) -> str | None:
        return self.row["version"]

    def execute(self, statement: _Statement) -> list[tuple[str, str, str]]:
        self.row |= statement.written
        return self.taken

    def commit(self) -> None:
        """Note whether the row was locked at this moment."""
        self.commits.append(self.locked)


@pytest.fixture
def database() -> _Database:
    return _Database()


@pytest.fixture
def processor(database: _Database, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A dag-processor that has parsed the old release, with stand-ins for Airflow, which only nodes have."""

    @contextlib.contextmanager
    def session(*, scoped: bool = True) -> Generator[_Database]:
        database.locked = not scoped
        yield database
        database.locked = False

    contents: dict[str, dict[str, Any]] = {
        "airflow": {},
        "airflow.__main__": {"main": None},
        "airflow.cli": {},
        "airflow.cli.commands": {"dag_processor_command": SimpleNamespace()},
        "airflow.dag_processing": {},
        "airflow.dag_processing.manager": {"DagFileProcessorManager": _Manager},
        "airflow.models": {},
        "airflow.models.dag": {
            "DagModel": SimpleNamespace(
                **dict.fromkeys(("dag_id", "bundle_name", "relative_fileloc", "is_stale"), _Column())
            )
        },
        "airflow.models.dagbundle": {"DagBundleModel": SimpleNamespace(name="dags", version="version")},
        "airflow.utils": {},
        "airflow.utils.session": {"create_session": session},
        "sqlalchemy": {"select": _Statement, "update": _Statement},
    }
    for name, content in contents.items():
        stand_in = ModuleType(name)
        vars(stand_in).update(content)
        monkeypatch.setitem(sys.modules, name, stand_in)
    made = load("python/node_dag_processor.py").ReleaseProcessor()
    made._dag_bundles = [_Bundle()]
    made.handle_removed_files({})
    return made


def _publish(processor: Any, version: str = NEW) -> Any:
    """This master has it, and S3 names it."""
    (bundle,) = processor._dag_bundles
    bundle.version_here = bundle.newest = version
    return bundle


def _parsed() -> SimpleNamespace:
    return SimpleNamespace(last_finish_time="just now")


def _store(processor: Any, database: _Database, bundle: str, *dags: str, errors: dict[str, str] | None = None) -> Any:
    """Give the processor these DAGs as found in the bundle's a.py; returns what it was about to store."""
    found = SimpleNamespace(
        serialized_dags=[SimpleNamespace(dag_id=dag) for dag in dags], import_errors=errors, warnings=None
    )
    processor.persist_parsing_result(
        bundle_name=bundle, session=database, parsing_result=found, relative_fileloc="a.py"
    )
    return found


def _note_refresh(processor: Any) -> None:
    processor.update_bundle_state("dags", last_refreshed="now", version=NEW)


def test_a_new_release_is_parsed_anew_and_whole_and_what_waits_keeps_its_turn(processor: Any):
    ended: list[str] = []
    process = SimpleNamespace(kill=lambda _: ended.append("killed"), close=lambda: ended.append("closed"))
    waiting = [_File("second.py"), _File("first.py"), _File("third.py")]
    processor._file_queue = dict.fromkeys(waiting)
    processor._file_stats = {_File("parsed.py"): _parsed(), _File("being-parsed.py"): _parsed()}
    processor._processors = {_File("being-parsed.py"): process}
    _publish(processor)
    names = ("first.py", "second.py", "third.py", "parsed.py", "being-parsed.py")
    processor.handle_removed_files({"dags": {_File(name, "/new") for name in names}})
    assert list(processor._file_queue) == waiting, "releases that follow each other would delay some for ever"
    assert {file.bundle_path for file in processor._file_queue} == {"/new"}, (
        "the old one would be stored as the new one"
    )
    assert {stat.last_finish_time for stat in processor._file_stats.values()} == {None}
    assert not processor._processors
    assert ended == ["killed", "closed"]


def test_a_refresh_that_brings_nothing_new_changes_nothing(processor: Any):
    processor._file_stats = {_File("parsed.py"): _parsed()}
    processor._processors = {_File("being-parsed.py"): "a process"}
    processor.handle_removed_files({"dags": {_File("parsed.py"), _File("being-parsed.py")}})
    assert processor._file_stats == {_File("parsed.py"): _parsed()}
    assert processor._processors


def test_files_of_other_bundles_stay(processor: Any):
    git = _File("dag.py", bundle_name="git")
    processor._file_queue, processor._file_stats = {git: None}, {git: _parsed()}
    _publish(processor)
    processor.handle_removed_files({"git": {git}})
    assert processor._file_queue == {git: None}
    assert processor._file_stats == {git: _parsed()}


def test_a_callback_of_a_run_survives_that_the_newest_release_has_no_such_file(processor: Any):
    callback = _File("deleted.py", bundle_version=OLD)
    processor._file_queue = {callback: None}
    _publish(processor)
    processor.handle_removed_files({"dags": {_File("other.py", "/new")}})
    assert processor._file_queue == {callback: None}
    assert processor.present == {callback, _File("other.py")}


def test_the_database_gets_the_release_that_s3_names(processor: Any, database: _Database):
    _publish(processor)
    _note_refresh(processor)
    assert database.row == {"version": NEW, "last_refreshed": "now"}


def test_a_master_that_is_behind_does_not_take_the_database_back(processor: Any, database: _Database):
    bundle = _publish(processor)
    bundle.newest, database.row["version"] = "3" * 64, "3" * 64
    _note_refresh(processor)
    _store(processor, database, "dags", "found in the older one")
    processor.deactivate_deleted_dags("dags", {_File("a.py")})
    assert database.row == {"version": "3" * 64, "last_refreshed": "now"}
    assert not processor.written


def test_a_master_whose_release_was_not_written_refreshes_in_full_again(processor: Any, database: _Database):
    """As when S3 does not answer the second question: Airflow would take the release for written."""
    bundle = _publish(processor)
    bundle.newest = "unknown"
    _note_refresh(processor)
    processor._bundle_versions["dags"] = NEW
    processor._file_stats = {_File("a.py"): _parsed()}
    processor.handle_removed_files({})
    assert processor._bundle_versions["dags"] not in (NEW, OLD, None)
    bundle.newest = NEW
    processor._file_stats = {_File("a.py"): _parsed()}
    _note_refresh(processor)
    processor.handle_removed_files({})
    assert database.row["version"] == NEW
    assert processor._file_stats[_File("a.py")].last_finish_time is None, "what was parsed meanwhile was not stored"


def test_results_of_the_stored_release_are_written(processor: Any, database: _Database):
    found = _store(processor, database, "dags", "a")
    processor.deactivate_deleted_dags("dags", {_File("a.py")})
    assert processor.written == [
        ("dags", {"parsing_result": found, "relative_fileloc": "a.py"}),
        ("dags", {_File("a.py")}),
    ]
    assert database.commits == [True], "the other master would insert the same rows before it sees these"


def test_other_bundles_are_airflows_own_business(processor: Any, database: _Database):
    processor.update_bundle_state("git", last_refreshed="now", version="abc")
    found = _store(processor, database, "git", "a")
    assert processor.written == [
        ("git", {"last_refreshed": "now", "version": "abc"}),
        ("git", {"parsing_result": found, "relative_fileloc": "a.py"}),
    ]


def test_a_dag_whose_id_another_bundle_uses_is_an_import_error_and_the_files_other_dags_are_stored(
    processor: Any, database: _Database
):
    processor._dag_bundles.append(SimpleNamespace(name="reports"))
    database.taken = [("taken", "dags", "teams/invoices.py")]
    found = _store(processor, database, "reports", "taken", "own", errors={"a.py": "a syntax error", "b.py": "another"})
    assert [dag.dag_id for dag in found.serialized_dags] == ["own"]
    assert found.import_errors["b.py"] == "another"
    first, second = found.import_errors["a.py"].splitlines()
    assert first == "a syntax error"
    assert "'taken' is taken by teams/invoices.py in the bundle 'dags'" in second
