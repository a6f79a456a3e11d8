"""A PostgreSQL server for the tests, if the program is installed on this machine."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

SUPERUSER = "rdsadmin"
START_SECONDS = 30


def programs() -> Path | None:
    """Where the newest server's programs are; Debian keeps them off PATH. None if there is no server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


@dataclass(frozen=True)
class Server:
    """A running server. Over TCP it requires passwords, as RDS does; its superuser connects through the socket."""

    port: int
    folder: Path

    def superuser(self, database: str = "postgres") -> psycopg.Connection:
        """A connection as superuser."""
        return psycopg.connect(host=str(self.folder), port=self.port, user=SUPERUSER, dbname=database, autocommit=True)

    def connect(self, user: str, password: str, database: str) -> psycopg.Connection:
        """A connection as a node makes it."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, password=password, dbname=database, autocommit=True
        )


@contextmanager
def running(bin_folder: Path) -> Generator[Server]:
    """A new server, which is deleted with its data when the context ends."""
    # Not pytest's folder: a socket's path may have 107 bytes, and the server's user has to get there.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    identity = _identity()
    if identity:
        os.chown(folder, identity["user"], identity["group"])
    try:
        _run([bin_folder / "initdb", "-D", folder / "data", "-U", SUPERUSER, "-A", "trust", "--no-sync"], identity)
        (folder / "data/pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        port = _free_port()
        command = [bin_folder / "postgres", "-D", folder / "data", "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [*map(str, command), "-c", "fsync=off"], stdout=log, stderr=subprocess.STDOUT, cwd=folder, **identity
            )
        try:
            yield _ready(Server(port=port, folder=folder), process)
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(folder)


def _identity() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    postgres = pwd.getpwnam("postgres")
    return {"user": postgres.pw_uid, "group": postgres.pw_gid, "extra_groups": []}


def _run(command: Sequence[str | Path], identity: dict[str, Any]) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, cwd="/", **identity)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _ready(server: Server, process: subprocess.Popen[str]) -> Server:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            server.superuser().close()
        except psycopg.OperationalError:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        else:
            return server
    raise RuntimeError(f"PostgreSQL did not start:\n{(server.folder / 'log').read_text()}")
