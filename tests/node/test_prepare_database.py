from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg import sql

from tests.node import postgresql
from tests.node.prepared_database import (
    ADMIN_PASSWORD,
    HOSTILE,
    Cluster,
    add_migration,
    identifier,
    numbers,
    prepare_database,
)


@pytest.fixture
def cluster(server: postgresql.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(prepare_database.retry, "wait", lambda _: None)
    # The tests' server speaks no TLS.
    for variable in ("PGSSLMODE", "PGSSLROOTCERT"):
        monkeypatch.delenv(variable, raising=False)
    found = Cluster(server, f"c{next(numbers)}", package=tmp_path / "airflow")
    for folder in ("migrations/versions", "providers/fab/migrations/versions"):
        add_migration(found.package, "abc", folder)
    with server.superuser() as root:
        statement = sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}")
        root.execute(statement.format(identifier(found.admin), sql.Literal(ADMIN_PASSWORD)))
        # RDS's admin owns these, too.
        for database in ("postgres", "template1"):
            root.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(identifier(database), identifier(found.admin)))
    return found


def test_an_empty_server_becomes_ready(cluster: Cluster):
    assert cluster.prepare() == "the database is prepared; the first admin is created"
    assert cluster.opens(cluster.name, HOSTILE, cluster.name)
    assert cluster.opens(cluster.results, HOSTILE + "2", cluster.results)
    assert [command[0] for command in cluster.commands] == ["db", "sync-perm", "users"]


def test_the_roles_have_the_settings_that_airflow_relies_on(cluster: Cluster):
    cluster.prepare()
    for role, password in ((cluster.name, HOSTILE), (cluster.results, HOSTILE + "2")):
        with cluster.server.connect(role, password, role) as connection:
            settings = [
                connection.execute("SELECT current_setting(%s)", [name]).fetchone()
                for name in ("client_encoding", "default_transaction_isolation", "timezone")
            ]
        assert settings == [("UTF8",), ("read committed",), ("UTC",)]


def test_the_role_of_the_workers_opens_its_own_database_only(cluster: Cluster):
    cluster.prepare()
    for database in (cluster.name, "postgres", "template1"):
        assert not cluster.opens(cluster.results, HOSTILE + "2", database), f"a worker must not reach {database}"


def test_a_database_that_stays_open_is_named(cluster: Cluster, capsys: pytest.CaptureFixture[str]):
    with cluster.server.superuser() as root:
        root.execute(sql.SQL("CREATE DATABASE {}").format(identifier(f"{cluster.name}_foreign")))
    cluster.prepare()
    assert f"{cluster.results} may also connect to {cluster.name}_foreign" in capsys.readouterr().out


def test_two_masters_on_an_empty_server_take_turns(cluster: Cluster):
    with ThreadPoolExecutor() as pool:
        outcomes = sorted(pool.map(lambda _: cluster.prepare(), range(2)))
    assert outcomes == ["the database is prepared; the first admin is created", "the database was prepared already"]
    assert cluster.overlaps == []
    assert [command[0] for command in cluster.commands] == ["db", "sync-perm", "users"]


def test_a_master_that_waits_says_so_and_waits_on(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    lines: list[str] = []
    waiting = threading.Event()

    def say(line: str) -> None:
        lines.append(line)
        waiting.set()

    monkeypatch.setattr(prepare_database.log, "say", say)
    admin = prepare_database.Account(cluster.admin, ADMIN_PASSWORD, "127.0.0.1", cluster.server.port, "postgres")
    first, second = prepare_database.connect(admin), prepare_database.connect(admin)
    with prepare_database.locked(first), ThreadPoolExecutor() as pool:

        def take_turn() -> None:
            with prepare_database.locked(second, progress_seconds=0.02):
                pass

        turn = pool.submit(take_turn)
        assert waiting.wait(20)
        assert not turn.done()
        first.close()
        turn.result(20)
    assert lines[0].startswith("another master (127.0.0.1) prepares the database; waiting for 0 s now")


def test_a_repetition_changes_nothing(cluster: Cluster):
    cluster.prepare()
    assert cluster.prepare() == "the database was prepared already"
    assert len(cluster.commands) == 3


@pytest.mark.parametrize(
    "change",
    [{"NODE_ARTIFACTS": "1111/airflow.txt"}, {"AIRFLOW__FAB__CUSTOM_ROLES": "{}"}],
    ids=["another lock", "other roles of the UI"],
)
def test_what_the_tables_depend_on_is_brought_up_to_date(cluster: Cluster, change: dict[str, str]):
    cluster.prepare()
    assert cluster.prepare(**change) == "the database is prepared; there is an admin already"
    assert [command[0] for command in cluster.commands[3:]] == ["db", "sync-perm"]


def test_tables_that_were_downgraded_by_hand_are_brought_up_to_date(cluster: Cluster):
    cluster.prepare()
    with cluster.server.superuser(cluster.name) as database:
        database.execute("UPDATE alembic_version SET version_num = 'older'")
    add_migration(cluster.package, "older")
    assert cluster.prepare() != "the database was prepared already"


def test_a_password_that_was_rotated_opens_the_database(cluster: Cluster):
    cluster.prepare()
    cluster.password = "an%other:"
    cluster.prepare()
    assert cluster.opens(cluster.name, "an%other:", cluster.name)
    assert not cluster.opens(cluster.name, HOSTILE, cluster.name)


def test_a_master_that_has_waited_for_the_lock_does_not_set_a_password_that_has_changed_since(cluster: Cluster):
    cluster.prepare()
    cluster.changed_secrets = {"airflow-prod/database-dsn": "the current one"}
    current, cluster.password = cluster.password, "an old one"
    with pytest.raises(prepare_database.StepFailedError, match="airflow-prod/database-dsn has changed since"):
        cluster.prepare()
    assert cluster.opens(cluster.name, current, cluster.name), "the other masters work with it"


@pytest.mark.parametrize("table", ["alembic_version", "alembic_version_fab"])
def test_an_old_master_waits_while_the_tables_are_those_of_a_newer_airflow(
    cluster: Cluster, table: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The master was rebooted after the migration, or its stack rolled back. A replacement would fail in the same
    way."""
    cluster.prepare()
    before = len(cluster.commands)

    def version(number: str) -> None:
        with cluster.server.superuser(cluster.name) as database:
            database.execute(sql.SQL("UPDATE {} SET version_num = %s").format(identifier(table)), [number])

    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        assert len(cluster.commands) == before, "Airflow's own command would fail"
        free = prepare_database.Account(cluster.admin, ADMIN_PASSWORD, "127.0.0.1", cluster.server.port, "postgres")
        with prepare_database.locked(prepare_database.connect(free)):
            pass  # The newer masters get the lock.
        if len(waits) == 40:
            version("abc")

    version("newer")
    monkeypatch.setattr(prepare_database.retry, "wait", wait)
    assert cluster.prepare(NODE_ARTIFACTS="1111/airflow.txt") == "the database is prepared; there is an admin already"
    said = [line for line in capsys.readouterr().out.splitlines() if "does not know" in line]
    assert [line.rpartition("(")[2] for line in said] == ["0 min so far)", "15 min so far)"]
    assert f"{table} is at newer" in said[0]


def test_the_server_is_sent_no_password(cluster: Cluster):
    with cluster.server.superuser() as root:
        root.execute("ALTER SYSTEM SET log_statement = 'all'")
        root.execute("SELECT pg_reload_conf()")
    # Nothing in it that a statement would have to escape, so that the log can be searched for it.
    cluster.password = "plainpassword"
    cluster.prepare()
    log = (cluster.server.folder / "log").read_text()
    assert f'ALTER ROLE "{cluster.name}" LOGIN PASSWORD' in log
    assert "plainpassword" not in log, "CloudWatch keeps RDS's log of statements"


def test_an_admin_that_people_have_made_is_left_alone(cluster: Cluster):
    cluster.prepare()
    cluster.prepare(NODE_ARTIFACTS="1111/airflow.txt")
    assert [command[0] for command in cluster.commands].count("users") == 1


def test_the_first_admins_password_is_no_argument(cluster: Cluster):
    cluster.prepare()
    command, stdin = cluster.commands[-1], cluster.stdin[-1]
    assert command[:2] == ["users", "create"]
    assert "first admin's" not in " ".join(command)
    assert stdin == "first admin's\nfirst admin's\n", "Airflow asks for it twice"


def test_a_migration_that_fails_for_good_fails_the_step_and_leaves_no_mark(cluster: Cluster):
    cluster.exit_codes["db"] = 2
    with pytest.raises(prepare_database.StepFailedError, match="`airflow db migrate` ended with exit code 2"):
        cluster.prepare()
    attempts = 1 + len(prepare_database.MIGRATE_PAUSES_SECONDS)
    assert len(cluster.commands) == attempts, "a table may be locked for a moment"
    cluster.exit_codes.clear()
    assert cluster.prepare() == "the database is prepared; the first admin is created"


@pytest.mark.parametrize(
    ("lost", "commands"),
    [
        ("db", "db | db sync-perm users"),
        ("sync-perm", "db sync-perm | db sync-perm users"),
        ("users", "db sync-perm users | db sync-perm"),
    ],
)
def test_nothing_is_begun_when_the_lock_is_gone_and_the_step_starts_again(
    cluster: Cluster, lost: str, commands: str, capsys: pytest.CaptureFixture[str]
):
    cluster.losses.append(lost)
    assert cluster.prepare().startswith("the database is prepared; ")
    assert [command[0] for command in cluster.commands] == commands.replace("| ", "").split()
    said = capsys.readouterr().out
    assert said.count("the connection that holds the lock on the database is lost (terminating connection due to") == 1
    assert "This one has stopped, and starts again." in said


def test_a_lock_that_is_lost_again_and_again_fails_the_step(cluster: Cluster):
    cluster.losses += ["db"] * prepare_database.TURNS
    with pytest.raises(prepare_database.StepFailedError, match="was lost 5 times"):
        cluster.prepare()


@pytest.mark.parametrize(("command", "words"), [("sync-perm", "airflow sync-perm"), ("users", "first admin cannot be")])
def test_a_command_that_fails_is_named(cluster: Cluster, command: str, words: str):
    cluster.exit_codes[command] = 3
    with pytest.raises(prepare_database.StepFailedError, match=f"{words}.* exit code 3"):
        cluster.prepare()


def test_an_admin_that_may_not_make_roles_gets_a_sentence(cluster: Cluster):
    with cluster.server.superuser() as root:
        root.execute(sql.SQL("ALTER ROLE {} NOCREATEROLE").format(identifier(cluster.admin)))
    with pytest.raises(prepare_database.StepFailedError, match="the server refuses a statement: permission denied"):
        cluster.prepare()


def test_a_wrong_admin_password_gets_a_sentence_without_it(cluster: Cluster):
    admin = {"host": "127.0.0.1", "port": cluster.server.port, "username": cluster.admin, "password": "wrong%pw"}
    with pytest.raises(prepare_database.StepFailedError, match=f"refuses {cluster.admin}: .*password auth") as failure:
        cluster.prepare(NODE_DATABASE_ADMIN=json.dumps(admin))
    assert "wrong%pw" not in str(failure.value)


@pytest.mark.parametrize(
    "url", ["postgresql://airflow:a/b@host:x/airflow", "postgresql://airflow@host/airflow", "postgresql://a:b@host", ""]
)
def test_a_connection_url_that_is_none_is_refused_without_its_password(url: str):
    with pytest.raises(prepare_database.StepFailedError, match="AIRFLOW__X") as failure:
        prepare_database.account(url, "AIRFLOW__X")
    assert "a/b" not in str(failure.value)


def test_a_url_is_decoded_into_role_password_and_database():
    found = prepare_database.account(f"db+postgresql+psycopg2://r:{quote(HOSTILE, safe='')}@h.example:5433/d", "X")
    assert found == prepare_database.Account("r", HOSTILE, "h.example", 5433, "d")


def test_airflow_never_sees_the_secrets_of_this_step(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\ncd "$OUTPUT" && env > env && cat > stdin && echo "$@" > args\nexit 4\n')
    program.chmod(0o755)
    monkeypatch.setenv("OUTPUT", str(tmp_path))
    for name in prepare_database.OWN_VARIABLES:
        monkeypatch.setenv(name, "geheim")
    with cluster.lock() as lock:
        code = prepare_database.run_airflow(
            ["users", "create"],
            stdin="pw\npw\n",
            commands=prepare_database.GuardedCommands(lock),
            program=str(program),
        )
    assert code == 4
    environment = (tmp_path / "env").read_text()
    assert "geheim" not in environment
    assert "AIRFLOW__FAB__UPDATE_FAB_PERMS=True" in environment, "otherwise the roles of the UI are not created"
    assert f"PGAPPNAME={prepare_database.STEP_APPLICATION}" in environment, "the next holder of the lock ends those"
    assert (tmp_path / "args").read_text() == "users create\n"
    assert (tmp_path / "stdin").read_text() == "pw\npw\n"


def test_a_migration_leaves_a_table_that_it_cannot_have_to_the_others(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$PGOPTIONS" > "$OUTPUT"\n')
    program.chmod(0o755)
    monkeypatch.setenv("OUTPUT", str(tmp_path / "options"))
    with cluster.lock() as lock:
        commands = prepare_database.GuardedCommands(lock)
        assert prepare_database.run_airflow(["db", "migrate"], commands=commands, program=str(program)) == 0
    assert (tmp_path / "options").read_text() == "-c lock_timeout=20s\n"
