"""VictoriaMetrics's programs, from this machine or from the lab's image with Debian 13."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from lab import host, image

START_SECONDS = 60


def program(name: str) -> tuple[list[str], Path]:
    """The start of the program's command line, and the root directory that it sees. Skips the test without it."""
    if shutil.which(name):
        return [name], Path("/")
    if os.geteuid() != 0:
        pytest.skip(f"this machine has no {name}, which Debian 13's package victoria-metrics has")
    host.install_programs()
    root = image.build(image.SERVERS)
    return ["chroot", str(root), name], root


@dataclass(frozen=True)
class Database:
    """VictoriaMetrics with what a test writes into it."""

    url: str

    def write(self, samples: Iterable[str]) -> None:
        """Store lines in Prometheus's text format, each with its time in milliseconds."""
        self._ask("/api/v1/import/prometheus", "\n".join(samples))
        self._ask("/internal/force_flush")

    def query(self, expr: str, at: float) -> list[dict[str, Any]]:
        """The series of an instant query. ValueError with the reason if it is refused."""
        try:
            answer = self._ask("/api/v1/query", urlencode({"query": expr, "time": at}))
        except HTTPError as error:
            raise ValueError(f"{expr}: {error.read().decode()}") from error
        return json.loads(answer)["data"]["result"]

    def _ask(self, path: str, data: str | None = None) -> bytes:
        with urlopen(self.url + path, data.encode() if data else None, timeout=30) as answer:  # noqa: S310
            return answer.read()


@contextmanager
def database() -> Generator[Database]:
    """An empty one, until the end of the block. Skips the test where the program is missing."""
    command, root = program("victoria-metrics")
    with tempfile.TemporaryDirectory(dir=root / "tmp") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        options = [f"-httpListenAddr={address}", f"-storageDataPath=/{Path(folder).relative_to(root)}"]
        # Or the newest samples would not be found.
        options += ["-search.latencyOffset=0s", "-memory.allowedBytes=64MB", "-loggerLevel=ERROR"]
        process = subprocess.Popen([*command, *options])
        try:
            _await_start(process, f"http://{address}/health")
            yield Database(f"http://{address}")
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _await_start(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(URLError), urlopen(url, timeout=10):  # noqa: S310
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    raise RuntimeError(f"VictoriaMetrics did not start: {process.returncode}")
