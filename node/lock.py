"""Locks Airflow, the user's packages and uv by hash, and extracts the registry of Airflow's options.

The nodes install with the settings of the stack file only, so the lock is made the same way: variables and
configuration files of the operator's machine are ignored. A lock that can be resolved here can be installed there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from node.airflow_options.extraction import extract, to_json
from node.airflow_options.lookup import REGISTRY
from node.artifacts import AIRFLOW_LOCK, LOCKS, UV_LOCK
from node.environment import PackageIndex
from node.lock_inputs import (
    AIRFLOW_SOURCES,
    POOL_LOCK_SUFFIX,
    USER_REQUIREMENTS,
    UV_SOURCES,
    index_line,
    inputs_line,
    pins,
    pool_lock,
    pool_sources,
)

ROOT = Path(__file__).parent.parent
PYTHON_VERSION = "3.13"  # Debian 13's
BASE_LOCK = f"node/locks/{AIRFLOW_LOCK}"
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")


class LockError(Exception):
    """The lock could not be made. The message says why."""


@dataclass(frozen=True)
class UvIndex:
    """The stack's own package index, if it has one, and the environment variables with which uv uses it."""

    package_index: PackageIndex | None
    variables: Mapping[str, str]


PYPI = UvIndex(None, {})


@dataclass(frozen=True)
class PoolRequirements:
    """Requirements that only worker pools have: the file by its path from the root, and the platforms of the pools."""

    path: str
    platforms: tuple[str, ...]


def compile_lock(
    sources: Sequence[Path], lock: Path, *, upgrade: bool, index: UvIndex, base: Path | None = None
) -> None:
    """Resolve the sources into a lock with hashes. Pins that still fit are kept, unless `upgrade` is set.

    The packages of the lock `base` keep their versions.
    """
    command = ["pip", "compile", "--quiet", "--universal", "--python-version", PYTHON_VERSION, "--only-binary", ":all:"]
    command += ["--generate-hashes", "--custom-compile-command", "make lock"]
    command += ["--upgrade"] if upgrade else []
    command += [] if base is None else ["--constraints", str(base)]
    command += [*(str(source.relative_to(ROOT)) for source in sources), "--output-file", str(lock)]
    try:
        _uv(command, index, f"{' + '.join(source.name for source in sources)} cannot be resolved")
    except LockError as error:
        raise LockError(f"{error}{_who_asks(str(error), sources, base)}") from None
    # In its comments, uv names the base as it was given: in a temporary folder.
    text = lock.read_text() if base is None else lock.read_text().replace(str(base), BASE_LOCK)
    lock.write_text(inputs_line(sources) + index_line(index.package_index) + text)


def _who_asks(message: str, sources: Sequence[Path], base: Path | None) -> str:
    """The requirements of each file for the packages in uv's message, which does not say where they come from."""
    named = set(map(canonicalize_name, re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", message)))
    lines = [
        f"  {source.relative_to(ROOT)}:{number}: {line.partition('#')[0].strip()}"
        for source in sources
        for number, line in enumerate(source.read_text().splitlines(), 1)
        if _name(line) in named
    ]
    if base is not None:
        locked = pins(base.read_text())
        lines += [
            f"  {BASE_LOCK}: {name}=={version}, which all nodes have"
            for name in sorted(locked.keys() & named)
            for version in sorted(locked[name])
        ]
    return "\nWhat asks for these packages:\n" + "\n".join(lines) if lines else ""


def _name(line: str) -> str | None:
    """The package of a line with a requirement."""
    try:
        return canonicalize_name(Requirement(re.split(r"(?:^|\s)#", line)[0].strip()).name)
    except InvalidRequirement:
        return None


def unpack(lock: Path, target: Path, platform: str, *, index: UvIndex) -> None:
    """Verify and unpack the lock's wheels for a platform. Raises LockError if a package has no wheel for it."""
    command = ["pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--python-version", PYTHON_VERSION, "--python-platform", platform, "--target", str(target)]
    _uv([*command, "--requirements", str(lock)], index, f"{lock.name} cannot be installed on {platform}")


def make_lock(*, upgrade: bool, index: UvIndex, pools: Sequence[PoolRequirements] = ()) -> None:
    """Make all locks and the registry of options. Changes nothing in the repository unless every step succeeds."""
    check_requirements(USER_REQUIREMENTS.read_text())
    for pool in pools:
        check_requirements((ROOT / pool.path).read_text(), pool.path)
    with tempfile.TemporaryDirectory(prefix="airflow-lock-") as scratch:
        locks = Path(scratch)
        for name in (AIRFLOW_LOCK, UV_LOCK):
            if (LOCKS / name).exists():
                shutil.copyfile(LOCKS / name, locks / name)
        with _step("resolving Airflow and airflow-requirements.txt"):
            compile_lock(AIRFLOW_SOURCES, locks / AIRFLOW_LOCK, upgrade=upgrade, index=index)
        with _step("resolving uv"):
            compile_lock(UV_SOURCES, locks / UV_LOCK, upgrade=upgrade, index=index)
        for platform in PLATFORMS:
            with _step(f"unpacking the wheels for {platform}"):
                unpack(locks / AIRFLOW_LOCK, locks / platform, platform, index=index)
                unpack(locks / UV_LOCK, locks / f"{platform}-uv", platform, index=index)
        with _step("extracting Airflow's options"):
            registry = to_json(extract(locks / PLATFORMS[0]))
        pool_locks = {
            pool_lock(pool.path): _lock_pool(pool, locks / f"pool-{number}", locks, upgrade=upgrade, index=index)
            for number, pool in enumerate(pools)
        }
        for name in (AIRFLOW_LOCK, UV_LOCK):
            shutil.copyfile(locks / name, LOCKS / name)
        for lock, text in pool_locks.items():
            lock.write_text(text)
        REGISTRY.write_text(registry)


def _lock_pool(pool: PoolRequirements, scratch: Path, locks: Path, *, upgrade: bool, index: UvIndex) -> str:
    """The lock of a pool's requirements, on top of the new lock of all nodes."""
    lock = scratch.with_suffix(POOL_LOCK_SUFFIX)
    if pool_lock(pool.path).exists():
        shutil.copyfile(pool_lock(pool.path), lock)
    with _step(f"resolving {pool.path}"):
        compile_lock(pool_sources(pool.path), lock, upgrade=upgrade, index=index, base=locks / AIRFLOW_LOCK)
    for platform in pool.platforms:
        with _step(f"unpacking its wheels for {platform}"):
            unpack(lock, scratch / platform, platform, index=index)
    return lock.read_text()


def check_requirements(text: str, name: str = USER_REQUIREMENTS.name) -> None:
    """Refuse lines that work only on this machine: options such as `--extra-index-url`, and local paths."""
    lines = [re.split(r"(?:^|\s)#", line)[0].strip() for line in text.splitlines()]
    faulty = [number for number, line in enumerate(lines, 1) if line and not _works_on_a_node(line)]
    if faulty:
        # The lines themselves are not printed: a URL may contain a password.
        raise LockError(
            f"{name} has lines that do not work on a node: {', '.join(map(str, faulty))}.\n"
            "Write one requirement per line, such as `pandas>=3`. Set a package index of your own with "
            "airflow:packageIndex in the stack file, and publish packages of your own there."
        )


def _works_on_a_node(line: str) -> bool:
    try:
        url = Requirement(line).url
    except InvalidRequirement:
        return False
    return url is None or urlsplit(url).scheme in ("http", "https")


def clean_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv: the operator's, without settings that nodes do not have, plus these variables.

    It excludes the variables of uv and pip (an extra index, a date, constraints) and stored credentials. uv must not
    download a Python: it only resolves and unpacks wheels, and builds nothing.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    ours = {"NETRC": os.devnull, "UV_CREDENTIALS_DIR": os.devnull, "UV_PYTHON_DOWNLOADS": "never"}
    return {**kept, **ours, **variables}


def _uv(command: Sequence[str], index: UvIndex, failure: str) -> None:
    # --system-certs: the machine's trust store, as everywhere else in the project; uv's bundled one has no private CA.
    # --no-config: a uv.toml of this machine or its user may name an index that the nodes do not use.
    uv = Path(sys.executable).with_name("uv")
    result = subprocess.run(
        [str(uv), *command, "--system-certs", "--no-config"],
        cwd=ROOT,
        env=clean_environment(index.variables),
        text=True,
        capture_output=True,
        check=False,
    )
    if result.returncode:
        raise LockError(f"{failure}:\n{result.stderr.strip()}")


@contextmanager
def _step(what: str) -> Generator[None]:
    _say(f"{what} ...", end=" ")
    started = time.monotonic()
    try:
        yield
    except LockError:
        _say("failed")
        raise
    _say(f"{time.monotonic() - started:.1f} s")


def _say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()
