from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.node import postgresql
from tests.node.metadata import Metadata
from tests.node.programs import load, module

clean_database = load("clean-database")
database_lock, table_versions = module("database.preparation_lock"), module("database.table_versions")

# As Celery 5.6 creates them in PostgreSQL.
RESULTS = """
    CREATE SEQUENCE task_id_sequence;
    CREATE TABLE celery_taskmeta (
        id INTEGER NOT NULL DEFAULT nextval('task_id_sequence'), task_id VARCHAR(155), status VARCHAR(50), result BYTEA,
        date_done TIMESTAMP WITHOUT TIME ZONE, traceback TEXT, name VARCHAR(155), args BYTEA, kwargs BYTEA,
        worker VARCHAR(155), retries INTEGER, queue VARCHAR(155), PRIMARY KEY (id), UNIQUE (task_id)
    );
"""
# What Airflow 3.3.2 prints.
OUTPUT = """

Checking table job
Found 0 rows meeting deletion criteria.

Checking table log
Found 30000 rows meeting deletion criteria.
Performing Delete (batch 1, max 10000 rows)...
Moving data to table _airflow_deleted__log__20261126194218__b1
Finished Performing Delete
"""


@pytest.fixture
def results(server: postgresql.Server) -> Metadata:
    """Celery's database, without its tables."""
    found = Metadata(server)
    found.create_empty()
    return found


@pytest.fixture
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Replaces Airflow's command by a shell script that records its arguments and options."""

    def command(script: str) -> Path:
        program = tmp_path / "airflow"
        noted = tmp_path / "noted"
        program.write_text(f'#!/bin/sh\necho "$@ with $PGOPTIONS" >>{noted}\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setattr(clean_database, "AIRFLOW", str(program))
        monkeypatch.setattr(table_versions, "airflow_package", lambda: tmp_path / "package")
        return noted

    return command


def environment(metadata: Metadata, results: Metadata, days: int = 365) -> dict[str, str]:
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.url,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{results.url}",
        "NODE_METADATA_DAYS": str(days),
    }


def add_results(results: Metadata, count: int, days_ago: float) -> None:
    results.execute(
        "INSERT INTO celery_taskmeta (task_id, status, date_done) SELECT gen_random_uuid()::text, 'SUCCESS',"
        " (now() AT TIME ZONE 'UTC') - make_interval(hours => %(hours)s) FROM generate_series(1, %(count)s)",
        {"count": count, "hours": round(days_ago * 24)},
    )


def count(database: Metadata, table: str) -> int:
    with database.connect() as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()  # noqa: S608
    assert row is not None
    return row[0]


def test_old_results_go_in_batches_and_newer_ones_stay(
    metadata: Metadata, results: Metadata, airflow: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
):
    airflow(":")
    results.execute(RESULTS)
    for days_ago in (400, 8, 6.9, 8, 0):
        add_results(results, 7, days_ago)
    monkeypatch.setattr(clean_database, "BATCH_ROWS", 5)
    assert clean_database.clean(environment(metadata, results)) == "rows deleted: celery_taskmeta 21"
    assert count(results, "celery_taskmeta") == 14, "none that is younger than a week"


def test_a_result_is_kept_longer_than_its_task_can_run():
    assert timedelta(days=clean_database.RESULT_DAYS) >= timedelta(hours=47), "the longest drain limit"


def test_before_the_first_task_there_are_no_results_to_clean(
    metadata: Metadata, results: Metadata, airflow: Callable[[str], Path]
):
    airflow(":")
    assert clean_database.clean(environment(metadata, results)) == "rows deleted: none, no row is old enough"


def test_airflow_deletes_what_is_older_than_the_setting_in_batches_without_an_archive(
    metadata: Metadata, results: Metadata, airflow: Callable[[str], Path]
):
    noted = airflow(f"cat <<'END'\n{OUTPUT}END")
    assert clean_database.clean(environment(metadata, results, days=90)) == "rows deleted: log 30,000"
    words = noted.read_text().split()
    before = datetime.fromisoformat(words[words.index("--clean-before-timestamp") + 1])
    assert abs(datetime.now(UTC) - timedelta(days=90) - before) < timedelta(minutes=1)
    assert words[:2] == ["db", "clean"]
    assert {"--yes", "--skip-archive", "--error-on-cleanup-failure", "lock_timeout=30s"} < set(words)
    assert words[words.index("--batch-size") + 1] == "50000"


def test_airflows_table_of_dags_is_left_alone(metadata: Metadata, results: Metadata, airflow: Callable[[str], Path]):
    noted = airflow(":")
    clean_database.clean(environment(metadata, results))
    words = noted.read_text().split()
    tables = words[words.index("--tables") + 1].split(",")
    assert {"dag_run", "task_instance", "log", "xcom", "dag_version"} < set(tables)
    assert "dag" not in tables, "with it, the command fails at a deleted DAG whose last task is not old enough yet"


def test_without_a_limit_the_metadata_is_kept_and_results_are_cleaned(
    metadata: Metadata, results: Metadata, airflow: Callable[[str], Path]
):
    noted = airflow(":")
    results.execute(RESULTS)
    add_results(results, 3, days_ago=8)
    assert clean_database.clean(environment(metadata, results, days=0)) == "rows deleted: celery_taskmeta 3"
    assert not noted.exists()


def test_only_one_of_two_masters_cleans(metadata: Metadata, results: Metadata, airflow: Callable[[str], Path]):
    noted = airflow(":")
    with metadata.connect() as other:
        other.execute("SELECT pg_advisory_lock(%s)", [clean_database.LOCK])
        said = clean_database.clean(environment(metadata, results))
        assert said == "another master cleans the database now"
    assert not noted.exists()
    clean_database.clean(environment(metadata, results))
    assert noted.exists(), "the lock goes with its holder"


@contextmanager
def preparation(server: postgresql.Server) -> Generator[None]:
    """The lock of a booting master's database step, in the server's own database."""
    with server.superuser() as root:
        root.execute("SELECT pg_advisory_lock(%s)", [database_lock.LOCK])
        yield


def test_nothing_is_cleaned_while_a_master_prepares_the_database(
    server: postgresql.Server, metadata: Metadata, results: Metadata, airflow: Callable[[str], Path]
):
    noted = airflow(":")
    results.execute(RESULTS)
    add_results(results, 3, days_ago=8)
    with preparation(server):
        assert "nothing is cleaned: a master prepares" in clean_database.clean(environment(metadata, results))
        assert count(results, "celery_taskmeta") == 3
    assert not noted.exists()


def test_nothing_is_cleaned_where_a_newer_airflow_has_migrated_the_tables(
    metadata: Metadata, results: Metadata, airflow: Callable[[str], Path], tmp_path: Path
):
    noted = airflow(":")
    folder = tmp_path / "package" / table_versions.MIGRATIONS["alembic_version"]
    folder.mkdir(parents=True)
    (folder / "0001_old.py").write_text('revision = "old"\n')
    metadata.execute("CREATE TABLE alembic_version (version_num text)")
    metadata.execute("INSERT INTO alembic_version VALUES ('new')")
    assert "nothing is cleaned: a newer Airflow" in clean_database.clean(environment(metadata, results))
    assert not noted.exists()
    metadata.execute("UPDATE alembic_version SET version_num = 'old'")
    clean_database.clean(environment(metadata, results))
    assert noted.exists()


# As Airflow's database driver does, it notices no signal before the server has answered.
STATEMENT = """
import pathlib, signal, psycopg
signal.signal(signal.SIGINT, signal.SIG_IGN)
with psycopg.connect({conninfo!r}) as connection:
    connection.execute("LOCK TABLE job")
    pathlib.Path({locked!r}).touch()
    connection.execute("SELECT pg_sleep(600)")
"""


def test_a_migration_gets_the_tables_within_seconds(
    server: postgresql.Server,
    metadata: Metadata,
    results: Metadata,
    airflow: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    locked, program = tmp_path / "locked", tmp_path / "statement.py"
    conninfo = clean_database.connection_info(metadata.url, "")
    program.write_text(STATEMENT.format(conninfo=conninfo, locked=str(locked)))
    airflow(f"exec {shlex.join([sys.executable, str(program)])}")
    monkeypatch.setattr(clean_database, "LOOK_SECONDS", 0.2)
    look = clean_database.in_time
    with server.superuser() as root:

        def prepare(deadline: float) -> None:
            if locked.exists():
                root.execute("SELECT pg_try_advisory_lock(%s)", [database_lock.LOCK])
            look(deadline)

        monkeypatch.setattr(clean_database, "in_time", prepare)
        began = time.monotonic()
        with pytest.raises(clean_database.StepFailedError, match="the metadata database: a master prepares"):
            clean_database.clean(environment(metadata, results))
    assert time.monotonic() - began < clean_database.END_SECONDS / 2
    metadata.execute("SET lock_timeout = '1s'; ALTER TABLE job ADD COLUMN migrated int")


def test_the_clean_up_shares_its_lock_with_no_other_program():
    others = module("scaling.metadata_database")
    assert clean_database.LOCK not in {module("database.preparation_lock").LOCK, others.LOCK, others.PRESENCE}


def test_one_failing_part_does_not_prevent_the_other(
    metadata: Metadata, results: Metadata, airflow: Callable[[str], Path]
):
    noted = airflow(f"cat <<'END'\n{OUTPUT}END")
    broken = environment(metadata, results) | {"AIRFLOW__CELERY__RESULT_BACKEND": "db+postgresql://a:b@127.0.0.1:1/c"}
    with pytest.raises(
        clean_database.StepFailedError, match=r"Celery's results: .*reached.*; rows deleted: log 30,000"
    ):
        clean_database.clean(broken)
    assert noted.exists()


def test_a_failure_of_airflows_command_is_reported(
    metadata: Metadata, results: Metadata, airflow: Callable[[str], Path]
):
    airflow("exit 3")
    results.execute(RESULTS)
    add_results(results, 3, days_ago=8)
    with pytest.raises(clean_database.StepFailedError, match=r"exit code 3.*; rows deleted: celery_taskmeta 3"):
        clean_database.clean(environment(metadata, results))


SLOW = "trap 'echo interrupted >>{noted}; exit 130' INT\necho $$ >{pid}\nwhile :; do sleep 0.1; done"


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Commands can be interrupted. A shell cannot handle a signal that was ignored when it started, as under nohup."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_a_clean_up_that_takes_too_long_is_interrupted_and_reported(
    metadata: Metadata,
    results: Metadata,
    airflow: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    started = tmp_path / "pid"
    noted = airflow(SLOW.format(noted=tmp_path / "noted", pid=started))
    monkeypatch.setattr(clean_database, "METADATA_SECONDS", 0)
    monkeypatch.setattr(clean_database, "LOOK_SECONDS", 0.2)
    in_time = clean_database.in_time

    def in_time_until_it_can_be_interrupted(deadline: float) -> None:
        if started.exists():
            in_time(deadline)

    monkeypatch.setattr(clean_database, "in_time", in_time_until_it_can_be_interrupted)
    with pytest.raises(clean_database.StepFailedError, match="time limit"):
        clean_database.clean(environment(metadata, results))
    assert noted.read_text().endswith("interrupted\n"), "Airflow drops its table of half-deleted rows"


def test_results_that_take_too_long_leave_time_for_the_metadata(
    metadata: Metadata, results: Metadata, airflow: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
):
    noted = airflow(f"cat <<'END'\n{OUTPUT}END")
    results.execute(RESULTS)
    monkeypatch.setattr(clean_database, "RESULTS_SECONDS", -1)
    with pytest.raises(clean_database.StepFailedError, match=r"Celery's results: the time limit.*; rows deleted: log"):
        clean_database.clean(environment(metadata, results))
    assert noted.exists(), "a task can make the one slow, for its worker may write to Celery's database"


def test_the_clean_up_stops_when_the_lock_is_lost(
    server: postgresql.Server,
    metadata: Metadata,
    results: Metadata,
    airflow: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    pid = tmp_path / "pid"
    airflow(SLOW.format(noted=tmp_path / "noted", pid=pid))
    monkeypatch.setattr(clean_database, "LOOK_SECONDS", 0.2)
    look = clean_database.in_time

    def cut(deadline: float) -> None:
        with server.superuser() as root:
            root.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [metadata.name])
        look(deadline)

    monkeypatch.setattr(clean_database, "in_time", cut)
    with pytest.raises(clean_database.StepFailedError, match="the lock was lost"):
        clean_database.clean(environment(metadata, results))


def test_an_invalid_url_is_reported_without_its_password(metadata: Metadata, results: Metadata):
    for variable in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CELERY__RESULT_BACKEND"):
        broken = environment(metadata, results) | {variable: "mysql://a:hunter2@b/c"}
        with pytest.raises(clean_database.StepFailedError, match=variable) as failure:
            clean_database.clean(broken)
        assert "hunter2" not in str(failure.value)
