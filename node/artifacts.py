"""What a node fetches from the artifacts bucket: locks, certificate authorities, and what is too large for user data.

An object's key starts with the hash of its content, and the hashes are in the user data: a node uses nothing that it
has not verified, and a changed file is a new object.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from node.roles import NodeGroup, Role
from node.rootfs import NodeFile, files_for, plugin_files

LOCKS = Path(__file__).parent / "locks"
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html. `make ca-bundle` renews it.
CA_BUNDLE = Path(__file__).parent / "certificates/rds-global-bundle.pem"
AIRFLOW_LOCK = "airflow.txt"
UV_LOCK = "uv.txt"
START_SCRIPT = "start-script"


@dataclass(frozen=True)
class Artifact:
    """One object of the artifacts bucket.

    Attributes:
        name: the file's name on the node.
        group: the key of the group whose nodes alone fetch it; empty if all nodes, or all of a role, do.
    """

    name: str
    sha256: str
    content: bytes
    group: str = ""

    @property
    def key(self) -> str:
        """The object's key. The content decides it, so an object is never overwritten."""
        return f"{self.sha256}/{self.name}"


def artifacts(roles: Collection[Role]) -> tuple[Artifact, ...]:
    """Every artifact of the repository that nodes of these roles fetch."""
    return (*_of_airflow(), *(_programs(role) for role in Role if role in roles))


def artifacts_for(role: Role) -> tuple[Artifact, ...]:
    """What every node of the role fetches."""
    return (*(_of_airflow() if role.definition.runs_airflow else ()), _programs(role))


def start_script(content: bytes, group: NodeGroup) -> Artifact:
    """The script that the nodes of a group run once, while they boot."""
    return _artifact(START_SCRIPT, content, group.key)


def pool_lock(content: bytes, group: NodeGroup) -> Artifact:
    """The lock of a worker pool with requirements of its own. It takes the place of Airflow's lock on its workers."""
    return _artifact(AIRFLOW_LOCK, content, group.key)


def _artifact(name: str, content: bytes, group: str = "") -> Artifact:
    return Artifact(name=name, sha256=hashlib.sha256(content).hexdigest(), content=content, group=group)


def _of_airflow() -> tuple[Artifact, ...]:
    return (_lock(AIRFLOW_LOCK), _lock(UV_LOCK), _artifact(CA_BUNDLE.name, CA_BUNDLE.read_bytes()))


def _lock(name: str) -> Artifact:
    return _artifact(name, (LOCKS / name).read_bytes())


def _programs(role: Role) -> Artifact:
    programs = (file for file in files_for(role) if not file.in_user_data)
    plugins = plugin_files() if role.definition.runs_airflow else ()
    return _archive(f"{role}.tar", (*programs, *plugins))


@cache  # each run of the program needs the keys a dozen times
def _archive(name: str, files: tuple[NodeFile, ...]) -> Artifact:
    return _artifact(name, _tar(files))


def _tar(files: tuple[NodeFile, ...]) -> bytes:
    """A tar archive that depends only on names, modes and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            member = tarfile.TarInfo(file.path.lstrip("/"))
            member.mode = file.mode
            member.size = len(file.content)
            archive.addfile(member, io.BytesIO(file.content))
    return buffer.getvalue()
