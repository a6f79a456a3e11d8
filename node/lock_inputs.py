"""What the locks were made from, and whether that is still what the repository asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from node.artifacts import AIRFLOW_LOCK, LOCKS, UV_LOCK

USER_REQUIREMENTS = Path(__file__).parent.parent / "airflow-requirements.txt"
AIRFLOW_SOURCES = (LOCKS / "airflow.in", USER_REQUIREMENTS)
UV_SOURCES = (LOCKS / "uv.in",)


def inputs_line(sources: Sequence[Path]) -> str:
    """The first line of a lock: a hash of what it was made from. Comments do not count."""
    lines = [line.partition("#")[0].strip() for source in sources for line in source.read_text().splitlines()]
    asked_for = "\n".join(filter(None, lines))
    return f"# Inputs: {hashlib.sha256(asked_for.encode()).hexdigest()}\n"


def stale_locks(locks: Mapping[Path, Sequence[Path]] | None = None) -> str | None:
    """What to do about locks that were made from something else than their sources; None if there are none.

    Nodes install what is locked, not what is asked for: a package that is in the requirements alone would be missing.
    """
    stale = [
        " and ".join(source.name for source in sources)
        for lock, sources in (locks or {LOCKS / AIRFLOW_LOCK: AIRFLOW_SOURCES, LOCKS / UV_LOCK: UV_SOURCES}).items()
        if not lock.read_text(encoding="utf-8").startswith(inputs_line(sources))
    ]
    if not stale:
        return None
    return (
        f"The lock does not belong to {', '.join(stale)}: nodes would install what was locked before. "
        "Run `make lock`, and commit what it changes."
    )
