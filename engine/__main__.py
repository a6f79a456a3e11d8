"""`python -m engine`: run a program and write its Recording to a file, for a plan in another process."""

from __future__ import annotations

import argparse
import gc
from pathlib import Path

from engine.errors import guarded
from engine.recording import write_recording


def main() -> int:
    """Record one run; exit code 1 for bad settings, 2 for a bug."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()

    def run() -> None:
        from engine.program import run_program

        write_recording(run_program(given.stack, root=given.root), given.out)

    return guarded(run)


if __name__ == "__main__":
    gc.disable()  # nearly everything that a run allocates lives until its end: collecting takes half of its time
    raise SystemExit(main())
