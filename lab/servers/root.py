"""The root file system of the servers' programs: an image of its own, so that this machine needs none of them."""

from __future__ import annotations

from pathlib import Path

from lab import host
from lab.namespace import Namespace


class ServerRoot:
    """The image of the servers with a writable layer, mounted inside the namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._disk = host.DISKS / "servers"
        self.path = self._disk / "root"

    def mount(self, image: Path) -> None:
        """Mount the image, with what its programs expect below /proc and /dev."""
        run = self._namespace.run
        run("mkdir", "-p", self.path, self._disk / "upper", self._disk / "work")
        layers = f"lowerdir={image},upperdir={self._disk}/upper,workdir={self._disk}/work"
        run("mount", "-t", "overlay", "overlay", "-o", layers, self.path)
        run("mount", "-t", "proc", "proc", self.path / "proc")
        run("mount", "--rbind", "/dev", self.path / "dev")
        run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", self.path / "dev/shm")

    def run(self, user: str, *command: str | Path, text: str = "") -> str:
        """Run a program as `user` to its end and return its output; LabError when it fails."""
        return self._namespace.run(*self.command(user, *command), text=text)

    def command(self, user: str, *command: str | Path) -> list[str]:
        """The command line that runs a program in here as `user`."""
        # Programs run as root cannot change the clock or the modules of the machine: those are not the lab's.
        drop = "--bounding-set=-sys_time,-sys_module,-sys_boot,-sys_rawio"
        enter = ["setpriv", drop, "--inh-caps=-all", "chroot", f"--userspec={user}:{user}", str(self.path)]
        return [*enter, *map(str, command)]

    def write(self, path: str, text: str, *, owner: str = "root:root", mode: str = "0600") -> None:
        """Write a file; only `owner` can read it with the default `mode`."""
        self.run("root", "sh", "-c", f"umask 077; mkdir -p '{Path(path).parent}'; cat > '{path}'", text=text)
        self.run("root", "sh", "-c", f"chown {owner} '{path}'; chmod {mode} '{path}'")
