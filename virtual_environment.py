"""Whether the virtual environment holds what the program was locked with. `__main__` imports this before all else.

After a pull that changed requirements.txt, the program would otherwise end in the traceback of some import.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pulumi

ROOT = Path(__file__).resolve().parent
# Lines with a marker are for other systems.
PINNED = re.compile(r"^([\w.-]+)==([^\s;]+) \\$", re.MULTILINE)


def faults(locked: str) -> list[str]:
    """What is missing or has another version than in the lock, in a few words each."""
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


# The offline plan runs other revisions of the program too, with the environment of the one it belongs to.
if Path(sys.prefix).resolve() == (ROOT / ".venv").resolve() and (
    stale := faults((ROOT / "requirements.txt").read_text(encoding="utf-8"))
):
    raise pulumi.RunError(
        f"The virtual environment .venv does not fit requirements.txt ({', '.join(stale)}): run `pulumi install`."
    )
