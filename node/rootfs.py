"""The files below rootfs/, whose path in the repository is their path on the node, and the user's Airflow plugins."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from node.airflow_options.rendering import PLUGINS_FOLDER
from node.roles import Role

ROOTFS = Path(__file__).parent / "rootfs"
PROGRAMS = "/usr/local/lib/airflow"
SHARED = f"{PROGRAMS}/airflow_node"
# Its README.md says what belongs there.
USER_PLUGINS = Path(__file__).parent.parent / "airflow-plugins"

# The programs that fetch the others, and those that report a failure to do so.
FIRST_PROGRAMS = frozenset(
    {
        f"{SHARED}/__init__.py",
        f"{SHARED}/autoscaling.py",
        f"{SHARED}/aws_request.py",
        f"{SHARED}/boot_step.py",
        f"{SHARED}/files.py",
        f"{PROGRAMS}/fetch-artifacts",
        f"{SHARED}/log.py",
        f"{SHARED}/metadata_service.py",
        f"{SHARED}/retry.py",
        f"{SHARED}/systemd.py",
        f"{PROGRAMS}/report-failed-boot",
    }
)

# A program's first line (`#!`) is not a comment.
_COMMENT = re.compile(rb"(?m)^[ \t]*#(?!!).*\n")


@dataclass(frozen=True)
class NodeFile:
    """One file as it is on the node: byte for byte, except that files in the user data have no comments."""

    path: str
    mode: int
    content: bytes

    @property
    def in_user_data(self) -> bool:
        """Units and the first programs are in the user data, the other programs in an artifact."""
        return _in_user_data(self.path)


def files_for(role: Role) -> tuple[NodeFile, ...]:
    """The files of the role's layers in the order of their paths."""
    return _files_of(ROOTFS, role)


@cache  # each run of the program needs them a dozen times: for user data, for archives, and to check their sizes
def _files_of(rootfs: Path, role: Role) -> tuple[NodeFile, ...]:
    found = [_read(source, rootfs / layer) for layer in role.definition.layers for source in _sources(rootfs / layer)]
    return tuple(sorted(found, key=lambda file: file.path))


def plugin_files() -> tuple[NodeFile, ...]:
    """The user's Airflow plugins, which every node gets, in the order of their paths."""
    found = [path for path in _sources(USER_PLUGINS) if path != USER_PLUGINS / "README.md"]
    plugins = {f"{PLUGINS_FOLDER}/{path.relative_to(USER_PLUGINS).as_posix()}": path for path in found}
    return tuple(NodeFile(path=name, mode=0o644, content=plugins[name].read_bytes()) for name in sorted(plugins))


def _sources(layer: Path) -> list[Path]:
    return [path for path in layer.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def _read(source: Path, layer: Path) -> NodeFile:
    path = f"/{source.relative_to(layer).as_posix()}"
    content = source.read_bytes()
    return NodeFile(
        path=path,
        mode=0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644,
        # User data has a size limit.
        content=_COMMENT.sub(b"", content) if _in_user_data(path) else content,
    )


def _in_user_data(path: str) -> bool:
    return path.startswith("/etc/") or path in FIRST_PROGRAMS
