"""The sources and the package index of each lock, which its first two lines record, and whether they still match."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from node.artifacts import AIRFLOW_LOCK, LOCKS, UV_LOCK
from node.environment import PackageIndex

ROOT = Path(__file__).parent.parent
USER_REQUIREMENTS = ROOT / "airflow-requirements.txt"
AIRFLOW_SOURCES = (LOCKS / "airflow.in", USER_REQUIREMENTS)
UV_SOURCES = (LOCKS / "uv.in",)
POOL_LOCK_SUFFIX = ".lock"
_INDEX = "# Package index: "
_PIN = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def inputs_line(sources: Sequence[Path]) -> str:
    """The first line of a lock: a hash of its sources without their comments."""
    lines = [line.partition("#")[0].strip() for source in sources for line in source.read_text().splitlines()]
    requirements = "\n".join(filter(None, lines))
    return f"# Inputs: {hashlib.sha256(requirements.encode()).hexdigest()}\n"


def index_line(index: PackageIndex | None) -> str:
    """The second line of a lock: the package indexes that it was made with."""
    return f"{_INDEX}{index_name(index)}\n"


def index_name(index: PackageIndex | None) -> str:
    """The names of the indexes, in the order in which they are used."""
    if index is None:
        return "PyPI"
    return f"{index.url}, then PyPI" if index.pypi else index.url


def locked_index() -> str:
    """The indexes that Airflow's lock was made with."""
    lines = (LOCKS / AIRFLOW_LOCK).read_text(encoding="utf-8").splitlines()[:2]
    return next((line.removeprefix(_INDEX) for line in lines if line.startswith(_INDEX)), "PyPI")


def stale_locks(locks: Mapping[Path, Sequence[Path]] | None = None) -> str | None:
    """The error if a lock was not made from its current sources; None if all locks match.

    Nodes install only what is locked: a package that was added to the requirements since then would be missing.
    """
    stale = [
        " and ".join(source.name for source in sources)
        for lock, sources in (locks or {LOCKS / AIRFLOW_LOCK: AIRFLOW_SOURCES, LOCKS / UV_LOCK: UV_SOURCES}).items()
        if not lock.read_text(encoding="utf-8").startswith(inputs_line(sources))
    ]
    if not stale:
        return None
    return (
        f"The lock does not match {', '.join(stale)}: nodes would install what was locked before. "
        "Run `make lock` and commit the changes."
    )


def pool_lock(requirements: str) -> Path:
    """The lock of a worker pool's requirements, which are given by their path from the repository's root."""
    return ROOT / f"{requirements}{POOL_LOCK_SUFFIX}"


def pool_sources(requirements: str) -> tuple[Path, ...]:
    """What the lock of a pool's requirements is made from."""
    return (*AIRFLOW_SOURCES, ROOT / requirements)


def pins(lock: str) -> dict[str, set[str]]:
    """The versions in a lock's text by package. On different platforms a package may have different ones."""
    found: dict[str, set[str]] = {}
    for name, version in _PIN.findall(lock):
        found.setdefault(name, set()).add(version)
    return found


def pool_lock_fault(requirements: str) -> str | None:
    """What is wrong with the lock of a pool's requirements; None if its workers can be installed from it."""
    lock = pool_lock(requirements)
    if not lock.is_file():
        return "which is not locked"
    text = lock.read_text(encoding="utf-8")
    if not text.startswith(inputs_line(pool_sources(requirements))):
        return "which has changed since it was locked, or airflow-requirements.txt has"
    base, own = pins((LOCKS / AIRFLOW_LOCK).read_text(encoding="utf-8")), pins(text)
    other = sorted(name for name in base if own.get(name) != base[name])
    return f"whose lock has other versions of {', '.join(other[:3])} than all nodes" if other else None
