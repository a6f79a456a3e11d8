"""Builds the environment from the hash locks with uv, which comes as a verified wheel: no pip and no package of Debian.

Everything is a wheel: nothing that is installed runs code meanwhile.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import boot_step
from boot_step import StepFailedError

# The one that the lock is made for: Debian's.
PYTHON = "/usr/bin/python3"
# https://packaging.python.org/en/latest/specifications/simple-repository-api/
UV_FILES = "https://pypi.org/simple/uv/"
TIMEOUT_SECONDS = 60

Run = Callable[[Sequence[str]], None]
Download = Callable[[str], bytes]


class CommandFailedError(Exception):
    """A program of the installation ended with an error; the message is its output."""


def run_command(command: Sequence[str]) -> None:
    """Run a program of the installation; its output is worth a line only if it fails."""
    environment = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode:
        raise CommandFailedError(result.stderr.strip() or result.stdout.strip() or f"exit code {result.returncode}")


def download(url: str) -> bytes:
    """What is at the address."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - hashes decide what is used
        return response.read()


def build(
    home: Path,
    environment: Path,
    *,
    run: Run = run_command,
    fetch: Download = download,
    delays: tuple[float, ...] = boot_step.DELAYS_SECONDS,
) -> None:
    """Install `home`/artifacts/airflow.txt into the new directory `environment`."""
    uv = home / "uv"

    def attempt() -> None:
        # An interrupted attempt leaves half an environment behind.
        shutil.rmtree(environment, ignore_errors=True)
        fetch_uv((home / "artifacts/uv.txt").read_text(), uv, fetch)
        for command in commands(uv, environment, home / "artifacts/airflow.txt"):
            run(command)

    try:
        boot_step.patiently(
            attempt,
            what="The installation",
            may_pass=lambda error: isinstance(error, OSError) or "hash mismatch" not in str(error).lower(),
            delays=delays,
        )
    except (CommandFailedError, OSError) as error:
        raise StepFailedError(
            f"Airflow cannot be installed from the lock: {boot_step.one_line(error)}. If a package is gone or has "
            "changed, make the lock anew with `make lock`; else check the way to the package index."
        ) from error


def commands(uv: Path, environment: Path, lock: Path) -> list[list[str]]:
    """The programs of the installation, in order."""
    return [
        [str(uv), "venv", "--quiet", "--relocatable", "--python", PYTHON, str(environment)],
        [
            *(str(uv), "pip", "install", "--quiet", "--python", f"{environment}/bin/python", "--compile-bytecode"),
            *("--require-hashes", "--only-binary", ":all:", "--requirement", str(lock)),
        ],
    ]


def fetch_uv(lock: str, target: Path, fetch: Download) -> None:
    """Put the uv of the lock into the file `target`."""
    page = fetch(UV_FILES).decode()
    fitting = re.compile(rf"-manylinux_\d+_\d+_{platform.machine()}\.")
    for link, sha256 in re.findall(r'href="([^"#]+)#sha256=([0-9a-f]{64})"', page):
        if sha256 in lock and fitting.search(link):
            wheel = fetch(urllib.parse.urljoin(UV_FILES, link))
            if hashlib.sha256(wheel).hexdigest() != sha256:
                raise StepFailedError(f"{link} has another hash than the lock says, so it is not used.")
            boot_step.write(target, program_of(wheel), 0o755)
            return
    raise StepFailedError(f"none of the files at {UV_FILES} is a uv of the lock for this {platform.machine()}.")


def program_of(wheel: bytes) -> bytes:
    """The program in uv's wheel."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        return archive.read(name)
