"""Settings for a process that runs one program and ends."""

from __future__ import annotations

import gc

from engine.sdk_on_demand import load_on_demand


def expect_to_end_soon() -> None:
    """Spend nothing on what only pays in the long run."""
    # What a run makes is mostly classes and resources that stay: looking for garbage doubles its time.
    gc.disable()
    load_on_demand()
