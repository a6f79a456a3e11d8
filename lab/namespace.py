"""A PID, mount and network namespace in which the whole lab runs, and which ends with the lab's process.

Its init waits on a pipe whose other end only the lab's process holds. However that process ends, the kernel then kills
all servers and nodes and unmounts their disks. `sweep` removes what is not bound to the namespace.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from lab import cgroups, host
from lab.progress import LabError

HOST_LINK = host.NAME
"""The host's end of the cable into the lab."""
HOST_TABLE = host.NAME
"""The host's nftables table that gives the lab its way out."""

# PID 1 of the namespace: reaps orphans, and exits when the pipe closes; the kernel then kills everything in it.
_INIT = """
import os, signal
def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]: pass
    except ChildProcessError: pass
signal.signal(signal.SIGCHLD, reap)
os.write(1, b"ready")
os.close(1)
while os.read(0, 1): pass
"""

# With a journal, although the disk is deleted after a crash: without one, ext4 leaves the inodes of deleted files alone
# for minutes, and passes all of them whenever it creates a file (recently_deleted() in Linux's fs/ext4/ialloc.c). A
# node then unpacks Airflow's environment in up to ten times the processor time, once another node's disk was deleted.
# Direct I/O, or the page cache would hold all blocks twice.
_MAKE_DISK = """
truncate --size="$2" "$1/image"
mkfs.ext4 -q -m 0 -J size=64 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard "$1/image"
device=$(losetup --find --show --direct-io=on "$1/image")
mount -o noatime,nobarrier,data=writeback,commit=60 "$device" "$1" || failed=$?
losetup --detach "$device" # takes effect when it is unmounted
chmod 0700 "$1"
exit "${failed:-0}"
"""


class Namespace:
    """A running namespace; `run` and `start` execute programs in it."""

    def __init__(self) -> None:
        self._unshare = subprocess.Popen(
            [
                *("unshare", "--fork", "--kill-child", "--pid", "--mount", "--net", "--mount-proc"),
                *("--propagation", "private", sys.executable, "-ISc", _INIT),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=host.ENVIRONMENT,
            start_new_session=True,  # Ctrl-C is for the lab's process, which then stops the nodes in order
        )
        pipe = self._unshare.stdout
        if pipe is None or pipe.read(5) != b"ready":
            raise LabError(
                "The kernel refused a new PID, mount and network namespace: is this a container without privileges?"
            )
        pipe.close()
        self.init_pid = children(self._unshare.pid)[0]

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line that runs `arguments` inside."""
        enter = ["nsenter", "--target", str(self.init_pid), "--mount", "--net", "--pid", "--"]
        return [*enter, *map(str, arguments)]

    def run(self, *arguments: str | Path, text: str | None = None) -> str:
        """Run a program to its end inside and return its output; LabError with its error output when it fails."""
        done = subprocess.run(
            self.command(*arguments),
            input=text or "",
            capture_output=True,
            text=True,
            env=host.ENVIRONMENT,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"{' '.join(map(str, arguments))} failed in the lab's namespace: {done.stderr.strip()}")
        return done.stdout

    def start(
        self, *arguments: str | Path, log: IO[bytes], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program inside that runs until it is stopped or the lab ends."""
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=host.ENVIRONMENT | dict(environment or {}),
            start_new_session=True,
        )

    def view(self, path: Path) -> Path:
        """The path on this machine of a path inside: mounts of the namespace are not in this machine's own tree."""
        return Path(f"/proc/{self.init_pid}/root{path}")

    def make_disks(self) -> None:
        """Prepare `host.DISKS` for the disks of servers and nodes.

        It is one file if there is a loop device, which is deleted faster than 100,000 files; otherwise a directory.
        """
        host.make_private(host.DISKS)
        size = shutil.disk_usage(host.DISKS).free
        with contextlib.suppress(LabError):
            self.run("sh", "-ec", _MAKE_DISK, "sh", host.DISKS, str(size))

    def close(self) -> None:
        """End the namespace and all that runs in it."""
        if self._unshare.stdin is not None:
            self._unshare.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._unshare.wait(20)


def sweep() -> None:
    """Remove what a killed lab has left behind; does nothing after an orderly end.

    LabError names a cgroup in which a process is left; everything else is removed nevertheless.
    """
    subprocess.run(
        ["nft", "delete", "table", "inet", HOST_TABLE], stderr=subprocess.DEVNULL, env=host.ENVIRONMENT, check=False
    )
    subprocess.run(["ip", "link", "delete", HOST_LINK], stderr=subprocess.DEVNULL, env=host.ENVIRONMENT, check=False)
    try:
        cgroups.remove()
    finally:
        # Takes half the time of shutil.rmtree, and there may be a hundred thousand files.
        subprocess.run(["rm", "-rf", "--one-file-system", host.DISKS], env=host.ENVIRONMENT, check=False)


def children(pid: int) -> list[int]:
    """The children of a process, by its first thread; none when it has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
