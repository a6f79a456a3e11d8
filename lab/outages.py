"""Servers that go away and come back while nodes are at work."""

from __future__ import annotations

import time

from lab.progress import LabError
from lab.servers import (
    BROKER_HOME,
    BROKER_PID,
    BROKER_SOCKET,
    DATA,
    POSTGRES,
    Broker,
    ServerRoot,
    run_broker,
    run_database,
)


class BrokerSwitch:
    """Switches the broker off and on."""

    def __init__(self, root: ServerRoot, broker: Broker) -> None:
        self._root, self._broker = root, broker

    def stop(self) -> None:
        """End it from one moment to the next; what it holds is on its disk, should `start` want it."""
        self._ask("SAVE", "OK")
        end = f"pid=$(cat {BROKER_PID}) && kill -KILL $pid && while [ -d /proc/$pid ]; do sleep 0.05; done"
        self._root.run("root", "sh", "-c", end)

    def start(self, *, empty: bool) -> None:
        """Let it run again: as it was, or as a new one that knows of nothing. Returns when it answers."""
        if empty:
            self._root.run("root", "rm", "-f", f"{BROKER_HOME}/dump.rdb")
        run_broker(self._root)
        self._ask("PING", "PONG")

    def _ask(self, command: str, expected: str, timeout: float = 10) -> None:
        """Send one command, again and again until the answer is `expected`; LabError when it never is.

        The token goes by the standard input, which no process list shows. The client's exit code tells nothing.
        """
        words = f"AUTH {_quoted(self._broker.token)}\n{command}\n"
        end = time.monotonic() + timeout
        while True:
            answer = self._root.run("valkey", "valkey-cli", "-s", BROKER_SOCKET, text=words).split()
            if answer == ["OK", expected]:
                return
            if time.monotonic() > end:
                raise LabError(f"The broker answers {command} with {' '.join(answer) or 'nothing'}.")
            time.sleep(0.1)


class DatabaseSwitch:
    """Switches the metadata database off and on."""

    def __init__(self, root: ServerRoot) -> None:
        self._root = root

    def stop(self) -> None:
        """Close all connections and shut down, as RDS does for its maintenance."""
        self._root.run("postgres", POSTGRES / "pg_ctl", "stop", "-D", DATA, "-m", "fast", "-w")

    def start(self) -> None:
        """Let it run again. Returns when it answers."""
        run_database(self._root)


def _quoted(text: str) -> str:
    """Text as a word of valkey-cli."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
