"""Files that other programs read or that other users write."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def write(target: Path, content: bytes, mode: int) -> None:
    """Put a file in its place in one step, so that no program ever reads half of it. Creates missing directories."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        # Created with mode 0600.
        file.write(content)
    Path(file.name).chmod(mode)
    Path(file.name).rename(target)


def read_untrusted(path: Path, *, most_bytes: int) -> str:
    """The text of a file that tasks can replace by anything: the worker's files belong to the user as which tasks run.

    Raises OSError if it cannot be opened, and ValueError if it is no regular file (a pipe would never end), has more
    bytes than that, or is no text.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path} is no regular file")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"{path} has more than {most_bytes} bytes")
    return content.decode()
