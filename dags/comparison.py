"""What differs between two releases."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_node.dag_release import Manifest

SHOWN_BYTES = 200_000
"""Larger files are compared by their hashes only."""


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Paths by what happened to them."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def compare(before: Manifest, after: Manifest) -> Differences:
    """The files that differ in content or in mode."""
    old, new = ({file.path: file for file in manifest.files} for manifest in (before, after))
    return Differences(
        added=tuple(path for path in new if path not in old),
        changed=tuple(path for path in new if path in old and old[path] != new[path]),
        removed=tuple(path for path in old if path not in new),
    )


def summary(before: Manifest | None, after: Manifest) -> str:
    """The difference in a line."""
    if before is None:
        return f"{len(after.files)} files"
    found = compare(before, after)
    counts = {"added": found.added, "changed": found.changed, "removed": found.removed}
    parts = [f"{len(paths)} {what}" for what, paths in counts.items() if paths]
    return f"compared with {before.version[:12]}: {', '.join(parts) or 'no file differs'}"


def unified_diff(differences: Differences, before: Path, after: Path) -> Iterator[str]:
    """The differences as a unified diff of the two unpacked releases."""
    for path in sorted((*differences.added, *differences.changed, *differences.removed)):
        old, new = _text(before / path), _text(after / path)
        if old is None or new is None:
            yield f"Binary or large file {path} differs"
            continue
        yield from difflib.unified_diff(
            old,
            new,
            "/dev/null" if path in differences.added else f"a/{path}",
            "/dev/null" if path in differences.removed else f"b/{path}",
            lineterm="",
        )
        if old == new:
            yield f"File {path} differs in its mode" if path in differences.changed else f"Empty file {path} differs"


def _text(file: Path) -> list[str] | None:
    """The lines of a file, none if there is no such file; None if it is no text or too large."""
    if not file.exists():
        return []
    if file.stat().st_size > SHOWN_BYTES:
        return None
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text.splitlines()
