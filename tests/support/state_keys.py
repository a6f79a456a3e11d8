"""The accepted state keys of every stack: `python -m tests.support.state_keys` accepts what the program has now."""

from __future__ import annotations

from pathlib import Path

from offline.engine import REPOSITORY, run_program
from offline.recording import Recording

STACKS = sorted(path.name.split(".")[1] for path in REPOSITORY.glob("Pulumi.*.yaml"))
GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def state_keys(recording: Recording) -> list[str]:
    """One line per resource: its type and its logical name."""
    return sorted(f"{resource.type} {resource.name}" for resource in recording.resources)


def golden(stack: str) -> Path:
    """The file with the accepted keys of a stack."""
    return GOLDEN / f"{stack}.txt"


if __name__ == "__main__":
    for name in STACKS:
        golden(name).write_text("".join(f"{key}\n" for key in state_keys(run_program(name))), encoding="utf-8")
