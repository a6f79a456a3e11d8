"""Files of this repository that a stack file names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from settings.types import Allowed

ROOT = Path(__file__).parent.parent
LARGEST_SCRIPT_BYTES = 256 * 1024
"""Its content is also in Pulumi's state. What is larger belongs into a bucket, from which the script can fetch it."""


def read(path: str) -> bytes:
    """The content of a file by its path from the repository's root."""
    return (ROOT / path).read_bytes()


def _script_remedy(path: str) -> str:
    """What to correct about the script; empty if it can be used."""
    file = ROOT / path
    if not file.resolve().is_relative_to(ROOT.resolve()):
        return "copy the script into this repository, and give its path from the root"
    if not file.is_file():
        return "there is no such file; give the path from the repository's root" + (
            ", of a file" if file.is_dir() else ""
        )
    content = read(path)
    first_line = content.partition(b"\n")[0]
    if len(content) > LARGEST_SCRIPT_BYTES:
        return f"it has {len(content):,} bytes: have the script fetch what is large from a bucket"
    if not first_line.startswith(b"#!/"):
        return "name its interpreter in the first line, for example #!/bin/bash"
    if first_line.endswith(b"\r"):
        return "save it with Unix line ends: no interpreter has a name that ends in a carriage return"
    return ""


def requirements_remedy(path: str) -> str:
    """What to correct about the file; empty if it can be used."""
    file = ROOT / path
    if not file.resolve().is_relative_to(ROOT.resolve()):
        return "copy the file into this repository, and give its path from the root"
    if not file.is_file():
        return "there is no such file; give the path from the repository's root"
    if path == "airflow-requirements.txt":
        return "remove the key: all nodes have the packages of this file"
    return ""


RequirementsFile = Annotated[
    str,
    Allowed(
        "the path of a file with requirements below the repository's root, besides airflow-requirements.txt",
        lambda path: not requirements_remedy(path),
        requirements_remedy,
    ),
]
StartScript = Annotated[
    str,
    Allowed(
        f"the path of a script below the repository's root, at most {LARGEST_SCRIPT_BYTES // 1024} KiB, which "
        "names its interpreter in the first line",
        lambda path: not _script_remedy(path),
        _script_remedy,
    ),
]
