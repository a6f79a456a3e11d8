"""The two Debian 13 root file systems of the lab, built once and cached: a node's, and the servers'."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import host
from lab.progress import LabError, say, step

SUITE = "trixie"
RECIPE = 1
"""Increase it when the content of an image changes by other means than the values below."""

NODE_PACKAGES = (
    # The packages of Debian's own cloud image for EC2 that a container can use. No others may be added: nodes install
    # only those that the stack file lists, and the lab would hide that one is missing.
    *("systemd-sysv", "dbus", "libpam-systemd", "systemd-resolved", "systemd-timesyncd", "udev"),
    *("netplan.io", "iproute2", "iputils-ping", "dhcpcd-base", "netcat-openbsd"),
    *("cloud-init", "cloud-guest-utils", "sudo", "python3", "ca-certificates", "curl", "openssl", "gnupg"),
    *("procps", "less", "tzdata", "logrotate", "unattended-upgrades"),
)
SERVER_PACKAGES = (
    "postgresql-17",  # RDS's version
    "valkey-server",  # ElastiCache's engine, a fork of Redis 7.2
    "haproxy",
    "dnsmasq-base",
    "victoria-metrics",  # vmalert-tool, which tests the alert rules where the machine's Debian lacks it
)
# Settings of this machine's apt without which it may not reach a package index.
APT_SETTINGS = re.compile(r"^Acquire::(https?::|Check-|Retries|ForceIPv)")


@dataclass(frozen=True, kw_only=True)
class Image:
    """A root file system; its path contains a hash of all that decides its content, so a change makes a new image."""

    name: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        recipe = json.dumps(
            [RECIPE, SUITE, self.packages, self.hooks, _apt_settings(), _mirror(), [c.read_text() for c in host_cas()]]
        )
        return host.CACHE / f"{self.name}-{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


NODE = Image(
    name="node",
    packages=NODE_PACKAGES,
    hooks=(
        # Like an AMI: without machine id and host name, and cloud-init has never run.
        ': > "$1"/etc/machine-id; rm -f "$1"/etc/hostname; rm -rf "$1"/var/lib/cloud/*',
        'chroot "$1" systemctl --quiet enable systemd-networkd.service systemd-resolved.service',
        # They would take apt's lock during a first boot whose duration is measured.
        'chroot "$1" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer',
    ),
)
SERVERS = Image(name="servers", packages=SERVER_PACKAGES)


def build(image: Image) -> Path:
    """Return the image's root file system; build it first if it is not in the cache."""
    with host.alone():
        return _cached(image)


def hold(image: Image) -> int:
    """Build the image if it is not in the cache, and keep it there until the returned descriptor is closed."""
    with host.alone():  # another lab, with a newer image, removes those that nobody holds
        descriptor = os.open(_cached(image), os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _cached(image: Image) -> Path:
    target = image.path
    if not target.exists():
        _build(image, target)
    return target


def _build(image: Image, target: Path) -> None:
    with step(f"building the {image.name} image (Debian 13, {len(image.packages)} packages and their dependencies)"):
        work = Path(tempfile.mkdtemp(prefix="build-", dir=host.CACHE))
        try:
            _mmdebstrap(image, work / "root", host.CACHE / f"{image.name}-build.log")
            (work / "root").rename(target)  # so only a complete image has the final name
        finally:
            shutil.rmtree(work, ignore_errors=True)
    for stale in host.CACHE.glob(f"{image.name}-{SUITE}-*"):
        if stale != target:
            _remove(stale)


def _remove(stale: Path) -> None:
    descriptor = os.open(stale, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another lab uses it
    else:
        say(f"removing the older image {stale.name}")
        shutil.rmtree(stale, ignore_errors=True)
    finally:
        os.close(descriptor)


def host_cas() -> list[Path]:
    """The certificate authorities that were added to this machine; nodes need them to reach package indexes."""
    return sorted(Path("/usr/local/share/ca-certificates").glob("**/*.crt"))


def _mmdebstrap(image: Image, root: Path, log: Path) -> None:
    mirror = _mirror()
    with log.open("w") as output:
        done = subprocess.run(
            [
                *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"),
                f"--include={','.join(image.packages)}",
                *(f"--aptopt={setting}" for setting in _apt_settings()),
                '--aptopt=Acquire::Languages "none"',
                *("--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*"),
                "--dpkgopt=force-unsafe-io",
                *_trust_hooks(),
                *(f"--customize-hook={hook}" for hook in image.hooks),
                *(SUITE, str(root)),
                *_sources(mirror),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=host.ENVIRONMENT,
            check=False,
        )
    if done.returncode != 0:
        raise LabError(
            f"mmdebstrap could not build the {image.name} image from {mirror}:\n{_tail(log)}\nWhole log: {log}"
        )


def _trust_hooks() -> list[str]:
    """Hooks that let the image trust this machine's added certificate authorities."""
    target = "usr/local/share/ca-certificates"
    hooks = [f'--customize-hook=install -D -m 0644 "{ca}" "$1"/{target}/{ca.name}' for ca in host_cas()]
    update = 'if [ -x "$1"/usr/sbin/update-ca-certificates ]; then chroot "$1" update-ca-certificates; fi'
    return [*hooks, f"--customize-hook={update}"] if hooks else []


def _sources(mirror: str) -> Sequence[str]:
    return (
        f"deb {mirror}/debian {SUITE} main",
        f"deb {mirror}/debian {SUITE}-updates main",
        f"deb {mirror}/debian-security {SUITE}-security main",
    )


def _mirror() -> str:
    """Scheme and host of the Debian mirror that this machine uses."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    text = "\n".join(file.read_text() for file in files if file.suffix in (".list", ".sources") and file.is_file())
    found = re.search(r"(https?://\S+?)/debian/?(?:\s|$)", text)
    if not found:
        raise LabError(
            "The images are built from the Debian mirror that this machine uses, and apt's sources name none. "
            "Add one to /etc/apt/sources.list."
        )
    return found[1]


def _apt_settings() -> list[str]:
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, env=host.ENVIRONMENT, check=True)
    return [
        line.rstrip(";") for line in dump.stdout.splitlines() if APT_SETTINGS.match(line) and not line.endswith('"";')
    ]


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
