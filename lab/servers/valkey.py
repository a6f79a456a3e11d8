"""ElastiCache: Valkey with the program's parameters, TLS only, and nothing without the token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from engine.recording import Recording
from lab.progress import LabError
from lab.servers.server import Endpoint, Server, Site, parameters

REPLICATION_GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
SUBNET_GROUP = "aws:elasticache/subnetGroup:SubnetGroup"
PARAMETER_GROUP = "aws:elasticache/parameterGroup:ParameterGroup"
PLACE = 11
"""How far below the end of its subnet its address is."""
HOME = "/var/lib/lab-valkey"
SOCKET = f"{HOME}/valkey.sock"
"""For the lab itself: the packet filter treats connections from the broker's own address as the broker's."""


@dataclass(frozen=True, kw_only=True)
class Broker:
    """The Celery broker as its clients see it."""

    name: str
    address: IPv4Address
    port: int
    token: str
    parameters: Mapping[str, str]

    @classmethod
    def from_recording(cls, recording: Recording, address: IPv4Address) -> Broker:
        """The broker that the program creates in ElastiCache."""
        group = recording.only(REPLICATION_GROUP)
        return cls(
            name=group.outputs["primaryEndpointAddress"],
            address=address,
            port=group.outputs["port"],
            token=group.inputs["authToken"],
            parameters=parameters(recording, PARAMETER_GROUP, group.inputs["parameterGroupName"]),
        )


class Valkey(Server):
    """The broker's server."""

    name = "valkey"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._group = site.recording.only(REPLICATION_GROUP)
        subnet = site.plan.first_subnet(site.recording, SUBNET_GROUP, self._group.inputs["subnetGroupName"])
        self.broker = Broker.from_recording(site.recording, subnet.cidr[-PLACE])

    def endpoints(self) -> Sequence[Endpoint]:
        groups = tuple(self._group.inputs["securityGroupIds"])
        return [Endpoint(address=self.broker.address, names=(self.broker.name,), security_groups=groups)]

    def install(self) -> None:
        root = self.site.root
        root.run("root", "install", "-d", "-o", "valkey", "-g", "valkey", "-m", "0700", HOME)
        certificate, key = self.site.authority.issue([self.broker.name])
        files = {"server.crt": certificate, "server.key": key, "valkey.conf": "\n".join(settings(self.broker)) + "\n"}
        for name, text in files.items():
            root.write(f"{HOME}/{name}", text, owner="valkey:valkey")

    def command(self) -> Sequence[str | Path]:
        return self.site.root.command("valkey", "valkey-server", f"{HOME}/valkey.conf")

    def check(self) -> None:
        self._send("PING", "PONG")

    def start(self, *, empty: bool = False) -> None:
        """Start it with the data that it had at its last `stop`, or empty."""
        if empty:
            self.site.root.run("root", "rm", "-f", f"{HOME}/dump.rdb")
        super().start()

    def stop(self) -> None:
        """Inject a fault: kill it. Its data is saved for `start`."""
        self._send("SAVE", "OK")
        super().stop()

    def _send(self, command: str, expected: str) -> None:
        """Send a command; LabError when the answer is not `expected`.

        The token goes to the standard input, which no process list shows. The client's exit code is 0 even then.
        """
        words = f"AUTH {quoted(self.broker.token)}\n{command}\n"
        answer = self.site.root.run("valkey", "valkey-cli", "-s", SOCKET, text=words).split()
        if answer != ["OK", expected]:
            raise LabError(f"The answer to {command} is {' '.join(answer) or 'empty'}.")


def settings(broker: Broker) -> list[str]:
    """The lines of valkey.conf."""
    return [
        f"bind {broker.address}",
        "port 0",
        f"tls-port {broker.port}",
        f"tls-cert-file {HOME}/server.crt",
        f"tls-key-file {HOME}/server.key",
        "tls-auth-clients no",
        f"requirepass {quoted(broker.token)}",
        'save ""',
        "appendonly no",
        f"dir {HOME}",
        f"unixsocket {SOCKET}",
        "unixsocketperm 700",
        *(f"{key} {value}" for key, value in broker.parameters.items()),
    ]


def quoted(text: str) -> str:
    """Text as a word of valkey.conf and of valkey-cli."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
