"""The accepted URNs of every stack variant: `python -m tests.support.state_keys` accepts what the program has now."""

from __future__ import annotations

from pathlib import Path

from engine.recording import Recording
from tests.stack_variants import VARIANTS, recorded

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
STATE_KEYS = GOLDEN / "state_keys"


def state_keys(recording: Recording) -> list[str]:
    """The URN of each resource. If a URN changes, Pulumi deletes the resource and creates it again."""
    return sorted(resource.urn for resource in recording.resources)


def golden(variant: str) -> Path:
    """The file with the accepted URNs of a variant."""
    return STATE_KEYS / f"{variant}.txt"


if __name__ == "__main__":
    STATE_KEYS.mkdir(exist_ok=True)
    for name in VARIANTS:
        golden(name).write_text("".join(f"{key}\n" for key in state_keys(recorded(name))), encoding="utf-8")
