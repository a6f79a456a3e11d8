"""What keeps a command from doing its work: one sentence each, all of them at once."""

from __future__ import annotations

from collections.abc import Sequence


class DagsError(Exception):
    """A command cannot go on. The message says why, and what to do."""


class FaultsError(DagsError):
    """A folder has faults. The message is the list of them."""

    def __init__(self, folder: object, faults: Sequence[str]) -> None:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n".join([f"{folder} has {count}:", *(f"  {fault}" for fault in faults)]))
        self.faults = tuple(faults)
