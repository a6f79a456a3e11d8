"""The running lab, for other processes of root: they reach the process that runs it through a socket.

Whoever can open the socket is root, for its directory is closed to everybody else; so both sides may exchange pickles.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from lab import host
from lab.boot_times import Boot
from lab.node import Node
from lab.progress import LabError
from lab.terminations import Termination

SOCKET = host.STATE / "control"
CALLS = ("nodes", "boots", "terminations", "interrupt", "recommend_rebalance", "kill")
"""The methods of `Groups` that other processes call."""


class Control:
    """Answers every process that connects, each in a thread of its own, until it is closed."""

    def __init__(self, calls: Mapping[str, Callable[..., Any]]) -> None:
        """`calls` are what other processes may call, by name."""
        self._calls = calls
        self._listener = Listener(str(SOCKET), family="AF_UNIX", backlog=64)
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), name="control", daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection, suppress(EOFError, ConnectionError):  # the other process has ended
            while True:
                name, arguments = connection.recv()
                try:
                    answer = True, self._calls[name](*arguments)
                except Exception as error:  # noqa: BLE001 - the caller gets it, whatever it is
                    answer = False, f"{type(error).__name__}: {error}"
                connection.send(answer)


class RemoteGroups:
    """The groups (`lab.groups.Groups`) of the lab that another process runs. Its nodes are copies: equal, not same."""

    def __init__(self) -> None:
        """Connect; LabError when no lab is up."""
        try:
            self._connection = Client(str(SOCKET), family="AF_UNIX")
        except OSError:
            raise LabError("No lab is up. Start one with `make lab`, in another terminal.") from None
        self._calling = threading.Lock()

    def call(self, name: str, *arguments: Any) -> Any:
        """Have the lab's process do something; LabError with its error, or when it has ended."""
        try:
            with self._calling:
                self._connection.send((name, arguments))
                done, answer = self._connection.recv()
        except (EOFError, OSError):
            raise LabError("The lab has ended.") from None
        if not done:
            raise LabError(f"In the lab's process, {name} failed: {answer}")
        return answer

    def nodes(self) -> list[Node]:
        """The nodes that are there, oldest first."""
        return self.call("nodes")

    def boots(self) -> list[Boot]:
        """The boots of all nodes that became ready, also of those that are gone."""
        return self.call("boots")

    def terminations(self) -> list[Termination]:
        """The nodes that are gone, in that order."""
        return self.call("terminations")

    def interrupt(self, node: Node, seconds: float) -> None:
        """Let EC2 reclaim a node after `seconds`, with a notice now."""
        self.call("interrupt", node, seconds)

    def recommend_rebalance(self, node: Node) -> None:
        """Let EC2 find a node at risk."""
        self.call("recommend_rebalance", node)

    def kill(self, node: Node) -> None:
        """Cut a node's power."""
        self.call("kill", node)

    @property
    def failure(self) -> str | None:
        """What ended the lab's watch over its nodes."""
        return self.call("failure")
