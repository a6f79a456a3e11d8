"""The files of a DAG folder that belong to a release, and what in the folder cannot be released."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from airflow_node.dag_release import MAX_BYTES, MAX_FILES, MAX_NAME_BYTES, MAX_PATH_BYTES

from dags.faults import DagsError, FaultsError

# Made by tools beside the DAGs, and of no use to a node. `.airflowignore` belongs to the release: Airflow reads it.
LEFT_OUT_FOLDERS = frozenset(
    {".git", ".hg", ".svn", "__pycache__", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".idea", ".vscode"}
)
LEFT_OUT_ENDINGS = (".pyc", ".pyo")
LEFT_OUT_FILES = frozenset({".DS_Store", ".git"})  # .git is a file in a worktree

LEFT_OUT = (
    f"Left out: folders named {', '.join(sorted(LEFT_OUT_FOLDERS))}, and files named .DS_Store, *.pyc or *.pyo. Empty "
    "folders are not kept. A symbolic link to something inside the folder becomes a copy of it."
)


def read_folder(folder: Path) -> dict[str, Path]:
    """The files of a release by their path in it, sorted; each is a regular file that can be read.

    Raises FaultsError with everything that cannot be released, and DagsError if the folder cannot be read at all.
    """
    if not folder.is_dir():
        kind = "is not a folder" if folder.exists() else "does not exist"
        raise DagsError(f"{folder} {kind}. Name the folder that contains the DAGs.")
    if folder.resolve() == Path(__file__).parent:
        raise DagsError(f"{folder} is the package of this command. Name the folder that contains the DAGs.")
    faults: list[str] = []
    # Links can multiply the files without end, so one more than allowed is enough.
    found = islice(_walk(folder.resolve(), "", faults, ()), MAX_FILES + 1)
    files = dict(sorted(found, key=lambda item: os.fsencode(item[0])))
    faults += [fault for path in files for fault in name_faults(path)] + list(twin_faults(files))
    faults += _size_faults(files)
    if not faults and not any(map(_may_be_dag, files.values())):
        what = "no DAG" if files else "no file"
        faults.append(f"There is {what} in it: Airflow looks for *.py files with the words `airflow` and `dag`.")
    if faults:
        raise FaultsError(folder, faults)
    return files


def name_faults(path: str) -> Iterator[str]:
    """Why no node could have a file of this path."""
    try:
        names = path.encode().split(b"/")
    except UnicodeEncodeError:
        yield f"{path!a} is not valid UTF-8: rename it."
        return
    if longest := [name for name in names if len(name) > MAX_NAME_BYTES]:
        yield f"{path} has a name of {len(longest[0])} bytes; nodes allow {MAX_NAME_BYTES}: shorten it."
    elif len(path.encode()) > MAX_PATH_BYTES:
        yield f"{path} has {len(path.encode())} bytes; Airflow can store {MAX_PATH_BYTES}: shorten it."
    if any(unicodedata.category(character) == "Cc" for character in path):
        yield f"{path!a} contains a control character: rename it."


def twin_faults(paths: Iterable[str]) -> Iterator[str]:
    """Paths of which only one can exist on a Mac or on Windows, where they count as the same."""
    spellings: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            spelling = "/".join(parts[:length])
            spellings[unicodedata.normalize("NFC", unicodedata.normalize("NFC", spelling).casefold())].add(spelling)
    for same in spellings.values():
        if len(same) > 1:
            names = " and ".join(ascii(name) if not name.isascii() else name for name in sorted(same))
            yield f"{names} differ only in case or Unicode form, and a Mac has only one of them: rename one."


def _walk(directory: Path, prefix: str, faults: list[str], above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    """Files below a directory. `above` are the real directories that contain it, the outermost first."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        faults.append(f"{prefix or '.'} cannot be read: {error.strerror}.")
        return
    for entry in entries:
        path, root = prefix + entry.name, above[0] if above else directory
        try:
            real = Path(entry.path).resolve(strict=True)
            status = real.stat()
        except (OSError, RuntimeError) as error:
            faults.append(_unresolvable(path, entry, error))
            continue
        if stat.S_ISDIR(status.st_mode):
            if entry.name in LEFT_OUT_FOLDERS:
                continue
        elif entry.name in LEFT_OUT_FILES or entry.name.endswith(LEFT_OUT_ENDINGS):
            continue
        if not real.is_relative_to(root):
            faults.append(f"{path} is a link out of the folder, to {real}: copy what it needs into the folder.")
        elif stat.S_ISDIR(status.st_mode):
            if real in (*above, directory):
                faults.append(f"{path} is a link to a folder that contains it: remove it.")
            else:
                yield from _walk(real, f"{path}/", faults, (*above, directory))
        elif not stat.S_ISREG(status.st_mode):
            faults.append(f"{path} is neither a file nor a folder: remove it.")
        elif not os.access(real, os.R_OK):
            faults.append(f"{path} cannot be read: Permission denied.")
        else:
            yield path, real


def _unresolvable(path: str, entry: os.DirEntry[str], error: Exception) -> str:
    if entry.is_symlink():
        return f"{path} is a link to nothing ({Path(entry.path).readlink()}): remove or correct it."
    return f"{path} cannot be read: {getattr(error, 'strerror', error)}."


def _size_faults(files: dict[str, Path]) -> Iterator[str]:
    size = sum(file.stat().st_size for file in files.values())
    if len(files) > MAX_FILES:
        yield f"It has more than {MAX_FILES:,} files, which no release may have: remove what is no part of the DAGs."
    if size > MAX_BYTES:
        yield f"It has {size:,} bytes; a release may have {MAX_BYTES:,}: put data into a bucket of its own."


def _may_be_dag(file: Path) -> bool:
    """Airflow's own quick look (`might_contain_dag`), without its search of zip files."""
    if file.suffix == ".zip":
        return True
    content = file.read_bytes().lower() if file.suffix == ".py" else b""
    return b"airflow" in content and b"dag" in content
