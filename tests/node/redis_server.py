"""A Redis server for the tests, if the program is installed on this machine."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

PASSWORD = "p%41@:/#?w& d'\"é"
START_SECONDS = 20


def program() -> str | None:
    """Where the server's program is; Valkey serves as well. None if this machine has neither."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


class Server:
    """A server with a password. It can be stopped, and started again without data."""

    def __init__(self, path: str, folder: Path) -> None:
        self.port = _free_port()
        self._command = [path, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The broker's URL as a secret holds it."""
        return f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/0"

    def client(self, database: int) -> redis.Redis:
        """A client of one of its databases."""
        return redis.Redis(port=self.port, password=PASSWORD, db=database, decode_responses=True)

    def blocked_clients(self) -> int:
        """How many clients wait in a blocking read."""
        with self.client(0) as client:
            return client.info("clients")["blocked_clients"]

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [*self._command, "--requirepass", PASSWORD], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                self.client(0).ping()
            except redis.ConnectionError:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.02)
            else:
                return
        raise RuntimeError("redis-server did not start")

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@contextmanager
def running() -> Generator[Server]:
    """A new server, which ends with the context. Without the program, the test is skipped."""
    path = program()
    if path is None:
        pytest.skip("neither redis-server nor valkey-server is installed here")
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = Server(path, Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
