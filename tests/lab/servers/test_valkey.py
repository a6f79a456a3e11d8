"""The broker's server: its configuration, and its fault injection with a server of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace
from typing import IO, cast

import pytest

from engine.recording import Recording
from lab import host
from lab.addresses import AddressPlan
from lab.progress import LabError
from lab.servers import valkey
from lab.servers.server import Site
from lab.servers.valkey import Broker, Valkey, quoted, settings
from lab.stack import HOSTILE_TOKEN

ADDRESS = IPv4Address("10.80.27.245")


def test_the_broker_accepts_only_tls_and_needs_the_token(recording: Recording):
    lines = settings(Broker.from_recording(recording, ADDRESS))
    assert "port 0" in lines
    assert "tls-port 6379" in lines
    assert [line for line in lines if line.startswith(f'requirepass "{HOSTILE_TOKEN}')]
    assert "maxmemory-policy noeviction" in lines


class Root:
    """Runs the servers' programs on this machine, Redis in the place of Valkey."""

    def command(self, _: str, *command: str | Path) -> list[str]:
        names = {"valkey-cli": "redis-cli", "valkey-server": "redis-server"}
        return [names.get(str(word), str(word)) for word in command]

    def run(self, user: str, *command: str | Path, text: str = "") -> str:
        return run(self.command(user, *command), text)


class Namespace:
    """Runs programs on this machine."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str | Path, log: IO[bytes], environment: Mapping[str, str]) -> None:
        self.started.append(subprocess.Popen(command, stdout=log, env={**os.environ, **environment}))
        threading.Thread(target=self.started[-1].wait, daemon=True).start()  # or a killed one would stay a zombie

    def run(self, *command: str | Path, text: str = "") -> str:
        return run(command, text)


def run(command: Sequence[str | Path], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(done.stderr)
    return done.stdout


@pytest.fixture
def server(
    recording: Recording, plan: AddressPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Valkey]:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on this machine")
    for owner, name, value in (
        (host, "STATE", tmp_path),
        (host, "LOGS", tmp_path / "logs"),
        (valkey, "HOME", str(tmp_path)),
        (valkey, "SOCKET", f"{tmp_path}/s"),
    ):
        monkeypatch.setattr(owner, name, value)
    namespace = Namespace()
    site = SimpleNamespace(recording=recording, plan=plan, namespace=namespace, root=Root())
    made = Valkey(cast(Site, site))
    lines = [
        "port 0",
        f"unixsocket {tmp_path}/s",
        f"requirepass {quoted(made.broker.token)}",
        f"dir {tmp_path}",
        'save ""',
    ]
    (tmp_path / "valkey.conf").write_text("\n".join(lines) + "\n")
    made.start()
    yield made
    for process in namespace.started:
        process.kill()


def send(server: Valkey, command: str) -> str:
    words = f"AUTH {quoted(server.broker.token)}\n{command}\n"
    return server.site.root.run("valkey", "valkey-cli", "-s", valkey.SOCKET, text=words).split("\n")[1]


@pytest.mark.parametrize(("empty", "left"), [(False, "1"), (True, "0")])
def test_a_broker_starts_again_with_what_it_held_or_empty(server: Valkey, empty: bool, left: str):
    send(server, "LPUSH default message")
    server.stop()
    with pytest.raises(LabError):
        server.check()
    server.start(empty=empty)
    assert send(server, "LLEN default") == left


def test_a_server_that_does_not_serve_is_named_with_its_log(server: Valkey, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(valkey, "quoted", lambda _: "wrong")
    with pytest.raises(LabError, match=r"valkey does not serve .* The answer to PING is .*/logs/valkey\.log"):
        server._wait_until_ready(timeout=0.2)
