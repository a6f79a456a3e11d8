"""The nodes' Python packages on this machine: installed once from the lock, and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from dags.faults import DagsError
from dags.progress import step
from node.artifacts import AIRFLOW_LOCK, LOCKS
from node.lock import PYPI, PYTHON_VERSION, UvIndex, clean_environment

KEPT_SECONDS = 30 * 24 * 3600
"""An environment that no check has used for this long is removed. Each has half a gigabyte."""


def lock_hash() -> str:
    """The SHA-256 of the nodes' lock."""
    return hashlib.sha256((LOCKS / AIRFLOW_LOCK).read_bytes()).hexdigest()


def cache_folder() -> Path:
    """Where environments are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "airflow-dags-check"


def python_of_the_nodes(index: UvIndex = PYPI) -> Path:
    """The Python of an environment with exactly the nodes' packages, which is built if it is not there yet.

    Raises DagsError if it cannot be built.
    """
    environment = cache_folder() / f"{lock_hash()[:16]}-python{PYTHON_VERSION}"
    if not environment.is_dir():
        with step(f"installing the nodes' packages into {environment}, once for each lock"):
            _build(environment, index)
    os.utime(environment)
    _remove_unused(environment.parent)
    return environment / "bin/python"


def _build(environment: Path, index: UvIndex) -> None:
    """Build it beside and rename it: what is in its place is complete."""
    building = environment.with_name(f"{environment.name}.{os.getpid()}")
    try:
        # The nodes' Python, which uv downloads where the machine has none.
        _uv(["venv", "--quiet", "--relocatable", "--python", PYTHON_VERSION, str(building)], index)
        install = ["pip", "install", "--quiet", "--python", str(building / "bin/python"), "--no-deps"]
        install += ["--require-hashes", "--only-binary", ":all:", "--compile-bytecode"]
        _uv([*install, "--requirements", str(LOCKS / AIRFLOW_LOCK)], index)
        try:
            building.rename(environment)
        except OSError:
            if not environment.is_dir():  # another check may have been faster
                raise
    except OSError as error:
        raise DagsError(f"{environment} cannot be written: {error}. Set XDG_CACHE_HOME to another folder.") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _uv(command: list[str], index: UvIndex) -> None:
    uv = Path(sys.executable).with_name("uv")
    variables = clean_environment({"UV_PYTHON_DOWNLOADS": "automatic", **index.variables})
    done = subprocess.run(
        [str(uv), *command, "--system-certs", "--no-config"], env=variables, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise DagsError(f"The nodes' packages cannot be installed on this machine:\n{done.stderr.strip()}")


def _remove_unused(folder: Path) -> None:
    for environment in folder.iterdir():
        if environment.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(environment, ignore_errors=True)
