"""Builds Airflow's virtual environment from its hash lock with uv; pip installs uv from a lock of its own.

Only wheels are installed, because installing one runs none of its code.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from airflow_node import apt, log, retry
from airflow_node.boot_step import StepFailedError

# Debian's Python, for which the lock is made.
PYTHON = "/usr/bin/python3"
# Debian's Python has no pip without it.
PIP_PACKAGE = "python3-venv"

Run = Callable[[Sequence[str], Mapping[str, str]], None]


class CommandFailedError(Exception):
    """A command of the installation failed; the message is its output."""


def run_command(command: Sequence[str], index: Mapping[str, str]) -> None:
    """Run a command of the installation with the variables of the package index; log its output only if it fails."""
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", **index}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode:
        raise CommandFailedError(result.stderr.strip() or result.stdout.strip() or f"exit code {result.returncode}")


def has_pip() -> bool:
    """Whether this Python can create an environment with pip."""
    return importlib.util.find_spec("ensurepip") is not None


def build(
    home: Path,
    environment: Path,
    index: Mapping[str, str],
    *,
    run: Run = run_command,
    has_pip: Callable[[], bool] = has_pip,
    install: Callable[[Sequence[str]], None] = apt.install,
) -> None:
    """Install `home`/artifacts/airflow.txt into the new directory `environment`.

    `index`: the variables with which uv and pip find the stack's own package index.
    """
    uv = home / "uv"

    def attempt() -> None:
        # An interrupted attempt leaves an incomplete environment.
        shutil.rmtree(environment, ignore_errors=True)
        shutil.rmtree(uv, ignore_errors=True)
        if not has_pip():
            install([PIP_PACKAGE])
        for command in commands(uv, home / "artifacts/uv.txt", environment, home / "artifacts/airflow.txt"):
            run(command, index)

    try:
        retry.call(
            attempt,
            what="The installation",
            may_pass=_may_pass,
            pauses=retry.backoff(),
        )
    except (CommandFailedError, OSError) as error:
        raise StepFailedError(
            f"Airflow cannot be installed from the lock: {log.one_line(error)}. If a package was deleted or has "
            "changed, renew the lock with `make lock`; otherwise check the network path to the package index."
        ) from error


def _may_pass(error: Exception) -> bool:
    """Failed commands are retried, because most fail by the network. A package with another hash stays wrong."""
    return isinstance(error, CommandFailedError | OSError) and "hash mismatch" not in str(error).lower()


def commands(uv: Path, uv_lock: Path, environment: Path, lock: Path) -> list[list[str]]:
    """The commands of the installation, in order."""
    from_lock = ["--require-hashes", "--only-binary", ":all:", "--requirement"]
    return [
        [PYTHON, "-m", "venv", str(uv)],
        [f"{uv}/bin/pip", "install", "--quiet", "--disable-pip-version-check", *from_lock, str(uv_lock)],
        [f"{uv}/bin/uv", "venv", "--quiet", "--relocatable", "--python", PYTHON, str(environment)],
        [
            *(f"{uv}/bin/uv", "pip", "install", "--quiet", "--python", f"{environment}/bin/python"),
            *("--compile-bytecode", *from_lock, str(lock)),
        ],
    ]
