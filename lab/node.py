"""One node: a Debian 13 system under systemd-nspawn, set up as an EC2 instance."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups, host, network
from lab.instance import Instance
from lab.namespace import Namespace, children
from lab.progress import LabError

BOOT_NODE = Path(__file__).with_name("boot-node")
# EC2 waits some minutes for an instance to shut down before it cuts the power; the lab does not wait as long.
SECONDS_TO_SHUT_DOWN = 60


@dataclass(frozen=True, kw_only=True)
class NodeStorage:
    """What nodes' disks are made of, and where they are.

    Attributes:
        disks: the directory of the disks, inside the namespace.
        lower: read-only layers, the topmost first: what only the lab adds, then the image.
        dhcp_hosts: the directory in which the DHCP server finds each node's address.
    """

    disks: Path
    lower: Sequence[Path]
    dhcp_hosts: Path


class Node:
    """A booted node. After its end, its disk and its console stay readable until it is destroyed."""

    def __init__(
        self,
        name: str,
        number: int,
        instance: Instance,
        namespace: Namespace,
        storage: NodeStorage,
        memory: int,
    ) -> None:
        """Power the node on with `memory` MiB."""
        self.name = name
        self.instance = instance
        self.powered_on = time.monotonic()
        self.was_cut = False
        """Whether it lost its power instead of shutting down."""
        self._namespace = namespace
        self._port = f"port{number}"
        self._inside = storage.disks / name
        self._directory = namespace.view(self._inside)
        self._dhcp_host = storage.dhcp_hosts / name
        self._lower = storage.lower
        self._memory = memory
        self._power_on(number)

    def _power_on(self, number: int) -> None:
        for part in ("root", "upper", "work"):
            (self._directory / part).mkdir(parents=True)
        self._dhcp_host.write_text(f"{self.instance.mac},{self.instance.address}\n")
        network.plug_in(self._namespace, port=self._port, netns=self.name, mac=self.instance.mac)
        with (self._directory / "console.log").open("wb") as console:
            self._process = self._namespace.start(
                *("unshare", "--mount", "--propagation", "private", BOOT_NODE, self.name, self._inside / "root"),
                ":".join(map(str, self._lower)),
                *(self._inside / "upper", self._inside / "work"),
                *(f"ec2e{number:04x}-1916-9099-7caf-fd2101230000", cgroups.CGROUP, str(self._memory << 20)),
                log=console,
            )
        self.leader = self._find_init()

    def __repr__(self) -> str:
        return self.name

    @property
    def running(self) -> bool:
        """Whether the node is powered on."""
        return self._process.poll() is None

    def exec(self, *command: str, timeout: float = 60, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command on the node as a transient unit, as the node's services run.

        One argument is a line for bash; several are a program and its arguments. A failure shows in the return code.
        """
        line = ["bash", "-c", command[0]] if len(command) == 1 else list(command)
        return subprocess.run(
            [*enter(self.leader, timeout=timeout, user=user), *line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",  # the output may not be text
            timeout=timeout + 10,
            env=host.ENVIRONMENT,
            check=False,
        )

    def unit(self, name: str, *properties: str) -> dict[str, str]:
        """Properties of a unit, by default those of its state."""
        wanted = properties or ("ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts")
        shown = self.exec("systemctl", "show", name, f"--property={','.join(wanted)}")
        return dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)

    def journal(self, unit: str | None = None) -> str:
        """The journal of this boot, or of one unit in it."""
        of_unit = [f"--unit={unit}"] if unit else []
        return self.exec("journalctl", "--boot", "--no-pager", "--output=short-monotonic", *of_unit).stdout

    def read(self, path: str) -> str:
        """The content of a file on the node."""
        return self.exec("cat", path).stdout

    @property
    def disk(self) -> Path:
        """The directory with what the node has written to its disk: the layer above the image."""
        return self._directory / "upper"

    @property
    def console(self) -> str:
        """The output on the node's console since it was powered on."""
        return (self._directory / "console.log").read_text(errors="replace")

    def isolate(self) -> None:
        """Disconnect the node from the network."""
        network.set_cable(self._namespace, port=self._port, connected=False)

    def reconnect(self) -> None:
        """Connect the node to the network again."""
        network.set_cable(self._namespace, port=self._port, connected=True)

    def kill(self) -> None:
        """Cut the node's power."""
        self.was_cut = True
        self._signal(signal.SIGKILL)
        self._process.wait(60)

    def stop(self, timeout: float = SECONDS_TO_SHUT_DOWN) -> None:
        """Shut the node down as EC2 does when it terminates an instance; cut its power after `timeout` seconds."""
        self._signal(signal.SIGRTMIN + 3)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def destroy(self) -> None:
        """Remove what is left of a node that is powered off: its interface, its cgroups and its disk."""
        network.unplug(self._namespace, port=self._port, netns=self.name)
        self._dhcp_host.unlink(missing_ok=True)
        try:
            cgroups.remove(self.name)
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.leader, number)

    def _find_init(self, timeout: float = 60) -> int:
        """The id of the node's PID 1 on this machine: below nspawn, the first process that is init of its namespace."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and self._process.poll() is None:
            candidates = [self._process.pid]
            while candidates:
                pid = candidates.pop()
                if _is_init(pid):
                    return pid
                candidates += children(pid)
            time.sleep(0.02)
        raise LabError(f"{self.name} did not start. Its console:\n{self.console[-1500:]}")


def enter(leader: int, *, timeout: float | None = None, user: str | None = None, terminal: bool = False) -> list[str]:
    """The start of a command line that runs a program on a node.

    The node's PID 1 starts it: a process that only entered the node's namespaces would keep this machine's
    capabilities, and could set its clock.
    """
    return [
        *("nsenter", "--target", str(leader), "--all", "--"),
        *("systemd-run", "--quiet", "--wait", "--collect", "--pty" if terminal else "--pipe"),
        *([f"--property=RuntimeMaxSec={timeout}"] if timeout else []),
        *([f"--uid={user}"] if user else []),
        "--",
    ]


def _is_init(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid")).split()[1:]
        return len(numbers) >= 3 and numbers[-1] == "1" and Path(f"/proc/{pid}/exe").readlink().name == "systemd"
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
