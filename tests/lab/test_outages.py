"""The broker's outages, with a server of this machine."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import cast

import pytest

from lab import outages
from lab.outages import BrokerSwitch
from lab.progress import LabError
from lab.servers import Broker, ServerRoot

TOKEN = 'a"b\\c'


class ThisMachine:
    """Runs the servers' programs right here, Redis in the place of Valkey."""

    def run(self, _: str, *command: str | Path, text: str = "") -> str:
        program = ["redis-cli" if word == "valkey-cli" else str(word) for word in command]
        done = subprocess.run(program, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(done.stderr)
        return done.stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerRoot]:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on this machine")
    monkeypatch.setattr(outages, "BROKER_HOME", str(tmp_path))
    monkeypatch.setattr(outages, "BROKER_PID", f"{tmp_path}/pid")
    monkeypatch.setattr(outages, "BROKER_SOCKET", f"{tmp_path}/s")
    configuration = tmp_path / "redis.conf"
    token = TOKEN.replace("\\", "\\\\").replace('"', '\\"')
    lines = ["port 0", f"unixsocket {tmp_path}/s", f'requirepass "{token}"', f"dir {tmp_path}", 'save ""']
    configuration.write_text("\n".join([*lines, f"pidfile {tmp_path}/pid"]) + "\n")
    servers = []

    def run_broker(_: ServerRoot) -> None:
        servers.append(subprocess.Popen(["redis-server", configuration], stdout=subprocess.DEVNULL))
        threading.Thread(target=servers[-1].wait, daemon=True).start()  # it is not gone before somebody has asked

    monkeypatch.setattr(outages, "run_broker", run_broker)
    yield cast(ServerRoot, ThisMachine())
    for server in servers:
        server.kill()


@pytest.fixture
def switch(root: ServerRoot) -> BrokerSwitch:
    broker = Broker(name="b", address=IPv4Address("127.0.0.1"), port=6379, token=TOKEN, parameters={})
    switch = BrokerSwitch(root, broker)
    switch.start(empty=True)
    return switch


def ask(root: ServerRoot, command: str) -> str:
    words = f"AUTH {outages._quoted(TOKEN)}\n{command}\n"
    return root.run("valkey", "valkey-cli", "-s", outages.BROKER_SOCKET, text=words).split("\n")[1]


@pytest.mark.parametrize(("empty", "left"), [(False, "1"), (True, "0")])
def test_a_broker_comes_back_as_it_was_or_as_a_new_one(root: ServerRoot, switch: BrokerSwitch, empty: bool, left: str):
    ask(root, "LPUSH default message")
    switch.stop()
    assert "1" not in root.run("root", "redis-cli", "-s", outages.BROKER_SOCKET, text="PING\n"), "it is off"
    switch.start(empty=empty)
    assert ask(root, "LLEN default") == left


def test_a_broker_that_does_not_answer_is_named(switch: BrokerSwitch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outages, "_quoted", lambda _: "wrong")
    with pytest.raises(LabError, match="The broker answers PING with"):
        switch._ask("PING", "PONG", timeout=0.2)
