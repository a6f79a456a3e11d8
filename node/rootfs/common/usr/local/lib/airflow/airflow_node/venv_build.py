"""Builds Airflow's virtual environment from its hash lock with uv; pip installs uv from a lock of its own.

None of the packages' code runs meanwhile: only wheels are installed, and they are compiled by a Python that does not
see them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from airflow_node import apt, log, package_index, retry, secrets_manager
from airflow_node.boot_step import StepFailedError

# Debian's Python, for which the lock is made.
PYTHON = "/usr/bin/python3"
# Debian's Python has no pip without it.
PIP_PACKAGE = "python3-venv"

# uv's own --compile-bytecode starts the environment's Python, and every Python runs the .pth files of its packages: as
# root. -I and -S leave out the packages of an environment, the user and the system. Some packages contain files that
# do not compile, such as templates: nobody imports them, so that is no error.
COMPILE = "import compileall, sys; compileall.compile_dir(sys.argv[1], quiet=2, workers=0)"

Run = Callable[[Sequence[str], Mapping[str, str]], None]


class CommandFailedError(Exception):
    """A command of the installation failed; the message is its output."""


def run_command(command: Sequence[str], index: Mapping[str, str]) -> None:
    """Run a command of the installation with the variables of the package index; log its output only if it fails."""
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", **index}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode:
        raise CommandFailedError(result.stderr.strip() or result.stdout.strip() or f"exit code {result.returncode}")


def index_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables with which uv and pip find the stack's own package index; empty if it has none."""
    secret = environment.get("NODE_PACKAGE_INDEX_SECRET")
    if not secret:
        return package_index.of_node(environment, None)
    value = secrets_manager.read(secret, remedy="create it, see airflow:packageIndex.credentialsSecret")
    try:
        return package_index.of_node(environment, package_index.Credentials.from_secret(value))
    except ValueError as error:
        raise StepFailedError(f"the secret {secret} cannot be used: {error}.") from None


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
            *(*from_lock, str(lock)),
        ],
        [PYTHON, "-I", "-S", "-c", COMPILE, f"{environment}/lib"],
    ]
