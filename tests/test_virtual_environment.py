"""The check for a virtual environment that is older than the program."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from virtual_environment import faults

ROOT = Path(__file__).resolve().parent.parent
STALE = f"""\
colorama==0.0.1 ; sys_platform == 'win32' \\
    --hash=sha256:00
pulumi=={version("pulumi")} \\
    --hash=sha256:00
pulumi-aws==99.0.0 \\
    --hash=sha256:00
    # via -r requirements.in
pulumi-new==1.0.0 \\
    --hash=sha256:00
"""
"""A lock after a pull: one package is up to date, one is newer, one is missing, and one is for Windows only."""

# As `pulumi-language-python-exec` runs a program.
RUN = """
import pulumi, runpy
try:
    runpy.run_path("__main__.py", run_name="__main__")
except BaseException as error:
    print(isinstance(error, pulumi.RunError), error)
"""


@pytest.fixture
def pulled(tmp_path: Path) -> Path:
    """A checkout whose lock is newer than its virtual environment, with only the start of the program."""
    for name in ("__main__.py", "virtual_environment.py"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "requirements.txt").write_text(STALE)
    return tmp_path


def _run(checkout: Path) -> str:
    done = subprocess.run([sys.executable, "-c", RUN], cwd=checkout, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_stale_virtual_environment_is_reported_in_one_sentence_with_the_command(pulled: Path):
    (pulled / ".venv").symlink_to(sys.prefix)
    assert _run(pulled) == (
        "True The virtual environment .venv does not match requirements.txt "
        f"(pulumi-aws is {version('pulumi-aws')} instead of 99.0.0, pulumi-new is missing): run `pulumi install`."
    )


def test_another_revision_is_planned_with_this_revisions_environment(pulled: Path):
    assert "No module named 'cluster_alarms'" in _run(pulled), "its lock is not compared"


def test_all_packages_of_this_revisions_lock_are_read():
    locked = (ROOT / "requirements.txt").read_text().replace("==", "==0.")
    everywhere = [line for line in locked.splitlines() if "==" in line and ";" not in line]
    assert len(faults(locked)) == len(everywhere) > 10
