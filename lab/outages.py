"""Servers that go away and come back while nodes are at work."""

from __future__ import annotations

import time

from lab.progress import LabError
from lab.servers import BROKER_HOME, BROKER_PID, DATA, POSTGRES, Broker, ServerRoot, run_broker, run_database


class BrokerSwitch:
    """Switches the broker off and on."""

    def __init__(self, root: ServerRoot, broker: Broker) -> None:
        self._root, self._broker = root, broker

    def stop(self) -> None:
        """End it from one moment to the next; what it holds is on its disk, should `start` want it."""
        self._ask("SAVE")
        end = f"pid=$(cat {BROKER_PID}) && kill -KILL $pid && while [ -d /proc/$pid ]; do sleep 0.05; done"
        self._root.run("root", "sh", "-c", end)

    def start(self, *, empty: bool) -> None:
        """Let it run again: as it was, or as a new one that knows of nothing. Returns when it answers."""
        if empty:
            self._root.run("root", "rm", "-f", f"{BROKER_HOME}/dump.rdb")
        run_broker(self._root)
        self._ask("PING")

    def _ask(self, command: str, timeout: float = 10) -> None:
        """Send one command; the token goes by the standard input, which no process list shows."""
        place = ("-h", str(self._broker.address), "-p", str(self._broker.port))
        words = f"AUTH {_quoted(self._broker.token)}\n{command}\n"
        end = time.monotonic() + timeout
        while True:
            try:
                self._root.run("valkey", "valkey-cli", "-e", *place, "--tls", "--insecure", text=words)
            except LabError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return


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
