"""A machine that lacks something the lab needs is told so before anything starts. Each is taken away for real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab import preconditions
from lab.preconditions import CAPABILITIES, IN_A_CONTAINER

ROOT = Path(__file__).resolve().parents[2]
CHECK = "import sys; from lab import preconditions, progress\ntry: preconditions.check()\n" + (
    "except progress.LabError as refused: sys.exit(str(refused))"
)


@pytest.fixture(scope="module", autouse=True)
def whole() -> None:
    """What is taken away has to be there."""
    try:
        preconditions.check()
    except preconditions.UnfitError as unfit:
        pytest.skip(str(unfit))


def told(*command: str) -> list[str]:
    """What the lab says, started by a command that first takes something away."""
    done = subprocess.run([*command, sys.executable, "-c", CHECK], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr or "it saw nothing"
    first, *faults = done.stderr.strip().splitlines()
    assert first == "The lab cannot run here."
    return faults


def told_after(taking_away: str) -> list[str]:
    """The same in a mount namespace that is different from the machine's."""
    return told("unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{taking_away}\nexec "$@"', "sh")


@pytest.mark.parametrize("name", CAPABILITIES)
def test_a_missing_capability_of_root_is_named(name: str) -> None:
    lacking = f"--bounding-set=-{name.removeprefix('CAP_').lower()}"
    assert told("setpriv", lacking)[0] == f"Root lacks {name}."


def test_everything_that_is_missing_is_reported_at_once_with_how_to_provide_it() -> None:
    faults = told_after(
        "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys\n"
        "mount -t tmpfs -o size=1G tmpfs /var/tmp\n"
        'exec setpriv --bounding-set=-net_admin,-sys_admin,-sys_chroot,-setpcap "$@"'
    )
    assert faults[-3:] == IN_A_CONTAINER.splitlines()
    space, capabilities, *others = faults[:-3]
    assert "has 1.0 GiB of free space, but 12 GiB are needed." in space
    assert capabilities == "Root lacks CAP_SETPCAP, CAP_SYS_CHROOT, CAP_NET_ADMIN, CAP_SYS_ADMIN."
    assert others == [
        "/proc/sys/net/ipv4/ip_forward cannot be written: the nodes reach the internet through this machine."
    ]


@pytest.mark.parametrize("hierarchy", ["memory", "pids", "."])
def test_cgroups_that_are_read_only_are_named(hierarchy: str) -> None:
    place = Path("/sys/fs/cgroup", hierarchy)
    if not place.is_dir():
        place = Path("/sys/fs/cgroup")  # version 2 has one hierarchy
    each = f"for each in {place} {place}/*/; do mountpoint -q $each && mount -o remount,bind,ro $each; done; :"
    [fault, *_] = told_after(each)
    assert "Read-only file system" in fault
    assert str(place) in fault


def test_a_directory_for_disks_that_is_on_an_overlay_is_refused() -> None:
    """As in a container without a volume there."""
    faults = told_after(
        "mount -t tmpfs tmpfs /mnt; mkdir /mnt/l /mnt/u /mnt/w\n"
        "mount -t overlay overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w /var/tmp"
    )
    assert any("is on an overlay" in fault for fault in faults)


def test_for_root_of_a_user_namespace_the_error_says_what_the_kernel_refuses() -> None:
    """As in a rootless container, or under a security profile: the capabilities are there and do not help."""
    inside = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec")
    # Counts for this user namespace alone.
    faults = told(*inside, 'echo 0 > /proc/sys/user/max_net_namespaces; exec "$@"', "sh")
    [refused] = [fault for fault in faults if "unshare" in fault]
    assert refused.startswith("The kernel refuses new namespaces: unshare: ")
