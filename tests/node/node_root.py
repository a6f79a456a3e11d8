"""A root file system as systemd finds it on a node: our files, and stubs of what Debian brings."""

from __future__ import annotations

from pathlib import Path

from node.environment import VENV
from node.roles import Role
from node.rootfs import files_for

UNITS = "etc/systemd/system"
UNITS_OF_PROGRAMS = "usr/local/lib/systemd/system"
"""Those that come with the programs, and that a program starts."""
_TARGETS = ("basic", "multi-user", "network-online", "poweroff", "shutdown", "sysinit", "umount")
_BINARIES = (
    f"{VENV}/bin/airflow",
    f"{VENV}/bin/python",
    *(f"/usr/bin/{name}" for name in ("curl", "prometheus-node-exporter", "rm", "sh", "systemctl", "vmagent")),
)
_OF_PACKAGES = ("/usr/bin/victoria-metrics", "/usr/bin/vmalert", "/usr/bin/prometheus-alertmanager")


def build(root: Path, role: Role) -> Path:
    """Put the role's files and the stubs below `root`."""
    for file in files_for(role):
        _put(root, file.path, file.content.decode(), file.mode)
    for target in _TARGETS:
        _put(root, f"/usr/lib/systemd/system/{target}.target", "[Unit]\nDescription=stub\n")
    for binary in (*_BINARIES, *_OF_PACKAGES):
        _put(root, binary, "#!/bin/sh\n", 0o755)
    return root


def units(root: Path) -> list[str]:
    """The names of our mounts, services and targets, without those that are masked; a template as an instance of it."""
    kinds = (".mount", ".service", ".target")
    names = sorted(path.name for path in unit_files(root) if path.suffix in kinds and path.stat().st_size)
    return [name.replace("@.", "@example.") for name in names]


def unit_files(root: Path) -> list[Path]:
    """The files and folders of our units."""
    return [path for folder in (UNITS, UNITS_OF_PROGRAMS) for path in (root / folder).iterdir()]


def text(root: Path, unit: str) -> str:
    """A unit's file."""
    [file] = [path for path in unit_files(root) if path.name == unit]
    return file.read_text()


def settings(root: Path, unit: str) -> dict[str, list[str]]:
    """The directives of a service, including its drop-ins: every value in order."""
    found: dict[str, list[str]] = {}
    drop_ins = sorted((root / UNITS / "airflow-.service.d").iterdir())
    for content in (text(root, unit), *(path.read_text() for path in drop_ins)):
        for line in content.splitlines():
            name, separator, value = line.partition("=")
            if separator and not line.startswith("#"):
                found.setdefault(name, []).append(value)
    return found


def _put(root: Path, path: str, content: str, mode: int = 0o644) -> None:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)
    target.chmod(mode)
