"""Progress on standard error: what is being done, and how long it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager


def say(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Generator[None]:
    """Say what is being done, and at the end how long it took."""
    print(f"{what} ...", end=" ", file=sys.stderr, flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        say("failed")
        raise
    say(f"{time.monotonic() - started:.1f} s")
