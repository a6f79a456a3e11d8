"""Writing files that other programs read, and reading files that other users write."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def write(target: Path, content: bytes, mode: int) -> None:
    """Write a file atomically: no program ever reads half of it. Creates missing directories."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        # Created with mode 0600.
        file.write(content)
    Path(file.name).chmod(mode)
    Path(file.name).rename(target)


def read_untrusted(path: Path, *, most_bytes: int) -> str:
    """The text of a file that tasks can replace with anything: they run as the user who owns the worker's files.

    Raises OSError if it cannot be opened, and ValueError if it is not a regular file (reading a pipe might never end),
    is longer than `most_bytes`, or is not valid UTF-8.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path} is not a regular file")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"{path} has more than {most_bytes} bytes")
    return content.decode()
