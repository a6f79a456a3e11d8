"""The lab's progress on standard error: one line per step, with the seconds since the start."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager


class LabError(Exception):
    """An error that the operator can correct; shown as one sentence, without a traceback."""


_started = time.monotonic()
_writing = threading.Lock()


def say(text: str) -> None:
    """Print one line of progress to standard error."""
    with _writing:
        print(f"[{time.monotonic() - _started:7.1f} s] {text}", file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Generator[None]:
    """Log the beginning of a step, and its end with how long it took."""
    say(f"{text} ...")
    begin = time.monotonic()
    yield
    say(f"{text}: done in {time.monotonic() - begin:.1f} s")
