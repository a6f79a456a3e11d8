"""A relay between a client and a server that can freeze the open connections, as a failover does."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

LOOK_SECONDS = 0.05


class Relay:
    """Forwards bytes in both directions. A frozen connection stays open and forwards nothing any more."""

    def __init__(self, listener: socket.socket, server_port: int) -> None:
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._server_port = server_port
        self._servers: list[socket.socket] = []
        self._frozen: list[socket.socket] = []
        self._generation = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Let every connection that is open now go silent. New ones work.

        The server sees its ends close, as if it were another one now: what a client has asked of the old one, such as
        a blocking read, takes nothing from the new one.
        """
        self._generation += 1
        for server in self._servers:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
        self._servers.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                return
            ends = (client, server)
            self._servers.append(server)
            threading.Thread(target=self._pass_on, args=(ends, self._generation), daemon=True).start()

    def _pass_on(self, ends: tuple[socket.socket, socket.socket], generation: int) -> None:
        while True:
            readable, _, _ = select.select(ends, (), (), LOOK_SECONDS)
            if generation != self._generation:
                self._frozen.append(ends[0])
                ends[1].close()
                return
            for end in readable:
                data = end.recv(65536)
                if not data:
                    for each in ends:
                        each.close()
                    return
                ends[1 - ends.index(end)].sendall(data)


@contextmanager
def relay(server_port: int) -> Generator[Relay]:
    """A relay in front of a server on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Relay(listener, server_port)
