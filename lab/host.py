"""The machine the lab runs on: the lab's directories, and the packages that it installs if they are missing."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab.progress import LabError, step

_GIVEN = os.environ.get("AIRFLOW_LAB", "")
if _GIVEN not in ("", *"123456789"):
    raise SystemExit(f"AIRFLOW_LAB is {_GIVEN!r}. It is a number from 1 to 9, or unset for the lab of `make lab`.")
NUMBER = int(_GIVEN or 0)
"""Which lab this process means. Several can be up at once when their stacks differ in the VPC's CIDR block and in the
cluster's name."""
NAME = f"airflow-lab-{NUMBER}" if NUMBER else "airflow-lab"
"""The name of all that the lab makes on this machine."""
CACHE = Path("/var/cache/airflow-lab")
"""Images, kept between runs and shared by all labs."""
STATE = Path("/run", NAME)
"""The state of the running lab, and its logs; only root can read them."""
LOGS = STATE / "logs"
DISKS = Path("/var/tmp", NAME)  # noqa: S108 - made by root with mode 0700
"""Disks of the nodes and of the servers, deleted when the lab ends."""

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}
"""Environment of every program that the lab starts; that of the caller's shell does not reach servers and nodes."""

# Program -> Debian package. The servers are not among them: they are in an image of their own, so that no service
# starts on this machine and PostgreSQL has the version that RDS runs.
PROGRAMS: Mapping[str, str] = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "apt-config": "apt",
}
SUITE_KEYS = Path("/usr/share/keyrings/debian-archive-trixie-stable.gpg")
"""Signs the packages of the nodes' Debian 13; the first releases of Debian 12 lack it."""


@contextmanager
def alone() -> Generator[None]:
    """Wait until no other lab changes what all labs share: this machine's packages and the images."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with Path(CACHE, "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install_programs() -> None:
    """Install the packages of the programs that are missing; they start no services."""
    with alone():
        _install_missing()


def _install_missing() -> None:
    lacking = sorted({package for program, package in PROGRAMS.items() if not find_program(program)})
    if not SUITE_KEYS.exists():
        lacking.append("debian-archive-keyring")
    if not lacking:
        return
    with step(f"installing {', '.join(lacking)}"):
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", *lacking)
    still = [program for program in PROGRAMS if not find_program(program)]
    if still:
        raise LabError(f"apt installed {', '.join(lacking)}, but {', '.join(still)} cannot be found.")


def find_program(name: str) -> str | None:
    """The path of a program by root's search path, whatever the caller's is; None if it is not there."""
    return shutil.which(name, path=ENVIRONMENT["PATH"])


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}  # with the caller's proxy settings
    done = subprocess.run(
        ["apt-get", "-q", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"apt-get {' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def make_private(path: Path) -> Path:
    """Make a directory that only root can enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path
