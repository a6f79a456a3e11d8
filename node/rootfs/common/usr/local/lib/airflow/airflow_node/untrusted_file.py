"""Reads a file that tasks can replace by anything: the worker's files belong to the user as which tasks run."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_text(path: Path, *, most_bytes: int) -> str:
    """The file's text.

    Raises OSError where it cannot be opened, and ValueError where it is no regular file (a pipe would never end), has
    more bytes than that, or is no text.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path} is no regular file")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"{path} has more than {most_bytes} bytes")
    return content.decode()
