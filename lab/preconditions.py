"""Checks before anything starts that the machine has what the lab needs, and reports everything missing at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab import cgroups, host
from lab.progress import LabError

SUPPORTED = {"debian": ("12", "13")}
IMAGES_GIB, DISKS_GIB = 2, 12
"""Free space for both images, and for the disks of ten nodes of 1.1 GiB each, most of it Airflow's environment."""

# Bits of a capability set: include/uapi/linux/capability.h of the kernel. All but the last two are Docker's defaults.
CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_FSETID": 4,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_RAW": 13,
    "CAP_SYS_CHROOT": 18,
    "CAP_MKNOD": 27,
    "CAP_SETFCAP": 31,
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_ADMIN": 21,
}
# Tried in separate namespaces. `ip` and `nft` may be missing before the first lab.
IN_NAMESPACES = ("unshare", "--fork", "--pid", "--mount", "--net", "--mount-proc", "--propagation", "private")
MOUNT_OVERLAY = "mkdir l u w r && mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w r"
CONNECT_CABLE = "ip link add name vpc type bridge && ip link add name port type veth peer name cable"
FILTER_PACKETS = "nft add table inet airflow-lab"

ROOT = "The lab boots machines and creates networks, which only root can do. Use sudo."
IN_A_CONTAINER = """\
In a container, provide what is missing as the job `lab` in .github/workflows/check.yml does:
  docker run --privileged --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw -v /var/tmp:/var/tmp ...
/var/tmp must be the host's: the container's own is an overlay."""


class UnfitError(LabError):
    """The machine lacks something."""


def check(*further: str) -> None:
    """Raise UnfitError with everything that this machine lacks and how to provide it; `further` are more faults."""
    faults = [*_of_distribution(), *filter(None, further)]
    if os.geteuid() != 0:
        faults.append(ROOT)
    else:
        of_container = [*(_of_capabilities() or _of_kernel()), *_of_cgroups(), *_of_sysctls(), *_of_disks()]
        faults += [*_of_space(), *of_container, *([IN_A_CONTAINER] if of_container else [])]
    if faults:
        raise UnfitError("\n".join(["The lab cannot run here.", *faults]))


def check_root() -> None:
    """Raise UnfitError unless run as root, with all other faults that can be found without root."""
    if os.geteuid() != 0:
        check()


def _of_distribution(os_release: Path = Path("/etc/os-release")) -> Iterator[str]:
    lines = os_release.read_text().splitlines() if os_release.exists() else []
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    release = {key: value.strip('"') for key, value in pairs}
    distribution, version = (release.get(key, "") for key in ("ID", "VERSION_ID"))
    if version not in SUPPORTED.get(distribution, ()):
        yield (
            f"It runs on Debian 12 and 13; this is {release.get('PRETTY_NAME', 'another system')}. "
            "`make check` and `make plan` work here too."
        )


def _of_capabilities(status: Path = Path("/proc/self/status")) -> list[str]:
    line = next(line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
    held = int(line.split()[1], 16)
    lacking = [name for name, bit in CAPABILITIES.items() if not held >> bit & 1]
    return [f"Root lacks {', '.join(lacking)}."] if lacking else []


def _of_kernel() -> list[str]:
    """What the kernel or a security profile refuses, although root has the capabilities."""
    if fault := _refused("new namespaces", "true"):
        return [fault]
    tried = (
        _refused("a mount", "mount -t tmpfs tmpfs ."),
        _refused("an overlay", MOUNT_OVERLAY) if not _are_on_overlay() else "",
        _refused("a bridge and a virtual cable", CONNECT_CABLE) if host.find_program("ip") else "",
        _refused("a packet filter", FILTER_PACKETS) if host.find_program("nft") else "",
    )
    return [fault for fault in tried if fault]


def _of_cgroups(top: Path = cgroups.TOP) -> Iterator[str]:
    unified = top / "cgroup.controllers"
    if "memory" not in unified.read_text() if unified.exists() else not (top / "memory").is_dir():
        yield f"{top} has no `memory` controller, which sets the nodes' limits."
        return
    try:
        cgroups.try_out(top)
    except OSError as refusal:
        yield f"The nodes' cgroups cannot be created: {refusal.strerror}: {refusal.filename}."


def _of_sysctls(forward: Path = Path("/proc/sys/net/ipv4/ip_forward")) -> Iterator[str]:
    if not os.access(forward, os.W_OK):
        yield f"{forward} cannot be written: the nodes reach the internet through this machine."


def _of_disks() -> Iterator[str]:
    if _are_on_overlay():
        yield f"{host.DISKS.parent} is on an overlay, which cannot hold the nodes' disks. Mount a volume there."


def _are_on_overlay() -> bool:
    command = ["stat", "--file-system", "--format=%T", host.DISKS.parent]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "overlayfs"


def _of_space() -> Iterator[str]:
    for place, gib in {
        host.CACHE.parent: 0 if host.CACHE.exists() else IMAGES_GIB,
        host.DISKS.parent: DISKS_GIB,
    }.items():
        free = shutil.disk_usage(place).free / 2**30
        if free < gib:
            yield f"{place} has {free:.1f} GiB of free space, but {gib} GiB are needed. `make lab-sweep` may free some."


def _refused(what: str, command: str) -> str:
    """The fault if the kernel refuses the command in separate namespaces, where it leaves nothing behind."""
    with tempfile.TemporaryDirectory(dir=host.DISKS.parent) as directory:
        done = subprocess.run(
            [*IN_NAMESPACES, "sh", "-c", command],
            cwd=directory,
            env=host.ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
    return f"The kernel refuses {what}: {done.stderr.strip()}" if done.returncode != 0 else ""
