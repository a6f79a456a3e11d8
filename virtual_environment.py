"""Checks that the virtual environment matches requirements.txt. `__main__` imports this first.

Without this check, the program would fail with an import's traceback after a pull that changed requirements.txt.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pulumi

ROOT = Path(__file__).resolve().parent
# Lines with an environment marker do not match: they are for other systems.
PINNED = re.compile(r"^([\w.-]+)==([^\s;]+) \\$", re.MULTILINE)


def faults(locked: str) -> list[str]:
    """The packages that are missing or have another version than in the lock, one phrase for each."""
    found = []
    for name, wanted in PINNED.findall(locked):
        try:
            installed = version(name)
        except PackageNotFoundError:
            found.append(f"{name} is missing")
        else:
            if installed != wanted:
                found.append(f"{name} is {installed} instead of {wanted}")
    return found


# `make plan BASE=` also runs other revisions of the program, with the environment of this one: they are not checked.
if Path(sys.prefix).resolve() == (ROOT / ".venv").resolve() and (
    stale := faults((ROOT / "requirements.txt").read_text(encoding="utf-8"))
):
    raise pulumi.RunError(
        f"The virtual environment .venv does not match requirements.txt ({', '.join(stale)}): run `pulumi install`."
    )
