"""What all servers have in common: where nodes reach them, and how they are installed, started and stopped."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from engine.recording import Recording
from lab import host
from lab.addresses import AddressPlan
from lab.certificates import CertificateAuthority
from lab.namespace import Namespace
from lab.progress import LabError
from lab.servers.root import ServerRoot

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# The process id is that inside the namespace, where `stop` needs it.
_RECORD_PROCESS_ID = 'echo $$ >"$1"; shift; exec "$@"'
_KILL = 'pid=$(cat "$1") && kill -KILL "$pid" && while [ -d "/proc/$pid" ]; do sleep 0.05; done'


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An address at which nodes reach a server.

    Attributes:
        names: the DNS names of the address.
        security_groups: ids of the security groups that filter its traffic; without any, every node reaches it.
    """

    address: IPv4Address
    names: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Site:
    """What every server is built from.

    Attributes:
        recording: the resources of the stack's program.
        authority: signs the servers' certificates; nodes trust it.
        ca_file: its certificate, for clients on this machine.
        root: the file system with the servers' Debian packages.
    """

    recording: Recording
    plan: AddressPlan
    region: str
    account_id: str
    authority: CertificateAuthority
    ca_file: Path
    namespace: Namespace
    root: ServerRoot


class Server(ABC):
    """A server that stands for a service of AWS. Making one has no effect; `install` and `start` do."""

    name: str
    """The name of the server, and of its log."""
    needs: tuple[str, ...] = ()
    """Names of the servers that must be ready before it starts."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def endpoints(self) -> Sequence[Endpoint]:
        """Where nodes reach it; nothing for a server that only other servers use."""
        return ()

    def secrets(self) -> Mapping[str, str]:
        """The values that the service of AWS itself stores in Secrets Manager, by the secret's ARN."""
        return {}

    @abstractmethod
    def install(self) -> None:
        """Write the configuration and the data with which the first `start` begins."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The command line that runs it in the foreground, inside the namespace."""

    def environment(self) -> Mapping[str, str]:
        """Variables of its process, besides those of every program of the lab."""
        return {}

    def check(self) -> None:
        """Raise LabError while it does not serve; here, while its process does not run."""
        file = self._process_id_file
        if not file.exists() or not self.site.namespace.view(Path("/proc", file.read_text().strip())).exists():
            raise LabError("Its process does not run.")

    def start(self) -> None:
        """Start it, for the first time or after `stop`; returns when it serves."""
        with (host.make_private(host.LOGS) / f"{self.name}.log").open("ab") as log:
            record = ("sh", "-c", _RECORD_PROCESS_ID, "sh", self._process_id_file)
            self.site.namespace.start(*record, *self.command(), log=log, environment=self.environment())
        self._wait_until_ready()

    def stop(self) -> None:
        """Inject a fault: kill it. Its files stay."""
        self.site.namespace.run("sh", "-c", _KILL, "sh", self._process_id_file)

    @property
    def _process_id_file(self) -> Path:
        return host.STATE / f"{self.name}.pid"

    def _wait_until_ready(self, timeout: float = 60) -> None:
        end = time.monotonic() + timeout
        while True:
            try:
                self.check()
            except LabError as failure:
                if time.monotonic() > end:
                    raise LabError(
                        f"{self.name} does not serve {timeout:.0f} s after its start: {failure} "
                        f"Its log: {host.LOGS / self.name}.log"
                    ) from failure
                time.sleep(0.1)
            else:
                return


class PythonServer(Server):
    """A server that is a module of this repository."""

    module: str

    def command(self) -> Sequence[str | Path]:
        return [sys.executable, "-m", self.module, *self.arguments()]

    @abstractmethod
    def arguments(self) -> Sequence[str | Path]:
        """The arguments of the module."""

    def environment(self) -> Mapping[str, str]:
        return {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}


def boot(servers: Sequence[Server]) -> None:
    """Install and start the servers, all at once except that each waits for those it needs, which are listed before it.

    Raises the first failure, after the others have started or failed.
    """
    booted: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(max_workers=len(servers), thread_name_prefix="boot-server") as pool:
        for server in servers:
            booted[server.name] = pool.submit(_boot, server, [booted[need] for need in server.needs])
    for future in booted.values():
        future.result()


def _boot(server: Server, needs: Sequence[Future[None]]) -> None:
    server.install()
    for need in needs:
        need.result()
    server.start()


def parameters(recording: Recording, type_: str, name: str) -> dict[str, str]:
    """The parameters of the parameter group of this type and name."""
    [group] = [group for group in recording.of_type(type_) if group.outputs["name"] == name]
    listed: list[Mapping[str, Any]] = group.inputs.get("parameters", [])
    return {parameter["name"]: parameter["value"] for parameter in listed}
