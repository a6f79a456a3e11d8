"""Builds the environment from the hash locks with uv, and uv's own with pip.

Everything is a wheel: nothing that is installed runs code meanwhile.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from airflow_node import log, retry
from airflow_node.boot_step import StepFailedError

# The one that the lock is made for: Debian's.
PYTHON = "/usr/bin/python3"
# Debian's Python has no pip until this package is there. The package manager runs beside this step, whose sandbox would
# keep it from the system, and after cloud-init, which writes apt's list of sources.
GET_PIP = (
    *("systemd-run", "--quiet", "--wait", "--collect", "--pipe", "--property=After=cloud-final.service"),
    *("--setenv=DEBIAN_FRONTEND=noninteractive", "sh", "-c"),
    "apt-get update -q && apt-get install -q -y --no-install-recommends python3-venv",
)

Run = Callable[[Sequence[str], Mapping[str, str]], None]


class CommandFailedError(Exception):
    """A program of the installation ended with an error; the message is its output."""


def run_command(command: Sequence[str], index: Mapping[str, str]) -> None:
    """Run a command of the installation with the variables of the package index; log its output only if it fails."""
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", **index}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode:
        raise CommandFailedError(result.stderr.strip() or result.stdout.strip() or f"exit code {result.returncode}")


def has_pip() -> bool:
    """Whether this Python can make an environment that has pip."""
    return importlib.util.find_spec("ensurepip") is not None


def build(
    home: Path,
    environment: Path,
    index: Mapping[str, str],
    *,
    run: Run = run_command,
    has_pip: Callable[[], bool] = has_pip,
) -> None:
    """Install `home`/artifacts/airflow.txt into the new directory `environment`; `index` has the variables by which uv
    and pip find a package index of the stack's own."""
    uv = home / "uv"

    def attempt() -> None:
        # An interrupted attempt leaves half an environment behind.
        shutil.rmtree(environment, ignore_errors=True)
        shutil.rmtree(uv, ignore_errors=True)
        if not has_pip():
            run(GET_PIP, {})
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
            f"Airflow cannot be installed from the lock: {log.one_line(error)}. If a package is gone or has "
            "changed, make the lock anew with `make lock`; else check the way to the package index."
        ) from error


def _may_pass(error: Exception) -> bool:
    """A failed command is retried, because most failures are the network's; another content than the lock's is not."""
    return isinstance(error, CommandFailedError | OSError) and "hash mismatch" not in str(error).lower()


def commands(uv: Path, uv_lock: Path, environment: Path, lock: Path) -> list[list[str]]:
    """The programs of the installation, in order."""
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
