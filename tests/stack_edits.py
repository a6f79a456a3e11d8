"""The changes that edits of the prod stack's file cause."""

from __future__ import annotations

import runpy
from typing import Any

from engine.program import deploy
from plan.changes import Changes, compare
from tests.stack_file import ROOT, changed
from tests.stack_variants import recorded


def edited(edits: dict[str, Any]) -> Changes:
    """The changes that `pulumi up` would make after edits such as `{"airflow:database.multiAz": False}`."""
    program = str(ROOT / "__main__.py")
    _, recording = deploy(lambda: runpy.run_path(program), config=changed(edits))
    return compare(recorded("prod"), recording)
