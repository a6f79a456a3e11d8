"""A lab whose process is killed leaves the machine as it was. It runs beside the lab of the other tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from lab import preconditions
from lab.airflow_api import wait_until

ROOT = Path(__file__).resolve().parents[2]
NAME = "airflow-lab-9"
STATE, DISKS = Path("/run", NAME), Path("/var/tmp", NAME)  # noqa: S108 - as lab/host.py makes it
LAB = """
from tests.cluster.conftest import new_cluster
with new_cluster() as lab:
    lab.wait(lambda: False, "the test to kill this process")
"""


def _running() -> set[str]:
    """The processes of all nodes and servers."""
    tops = [*Path("/sys/fs/cgroup").glob(f"*/{NAME}"), Path("/sys/fs/cgroup", NAME)]
    lists = [Path(folder, "cgroup.procs") for top in tops for folder, _, _ in os.walk(top)]
    pids: set[str] = set()
    for listed in lists:
        with suppress(OSError):  # the nodes' systemd removes cgroups all the time
            pids.update(listed.read_text().split())
    servers = f"python.* {re.escape(str(STATE))}/"
    found = subprocess.run(["pgrep", "--full", servers], capture_output=True, text=True)
    return pids | set(found.stdout.split())


def _disks() -> list[str]:
    """The files of the lab that are still block devices."""
    listed = subprocess.run(["losetup", "--list", "--noheadings", "--output=BACK-FILE"], capture_output=True, text=True)
    return [file for file in listed.stdout.splitlines() if file.startswith(str(DISKS))]


def test_a_killed_lab_leaves_nothing_running() -> None:
    try:
        preconditions.check()
    except preconditions.UnfitError as unfit:
        pytest.skip(str(unfit))
    own = {**os.environ, "AIRFLOW_LAB": NAME[-1]}
    own.pop("PYTEST_XDIST_WORKER", None)
    lab = subprocess.Popen([sys.executable, "-c", LAB], cwd=ROOT, env=own, stderr=subprocess.PIPE, text=True)
    assert lab.stderr is not None
    said = []
    for line in lab.stderr:
        said.append(line)
        if "powered on" in line:
            break
    assert any("powered on" in line for line in said), "".join(said)
    assert _running(), "the look itself must work"
    lab.kill()
    lab.wait()
    wait_until(lambda: not _running(), 120, "the lab's processes to end", lambda: str(_running()))
    cable = Path("/sys/class/net", NAME)
    wait_until(lambda: not cable.exists(), 60, "the cable to the lab's network to be gone")
    mounts, below = Path("/proc/mounts"), re.compile(rf"{DISKS}[/ ]")
    wait_until(lambda: not below.search(mounts.read_text()), 60, "the lab's mounts to be gone", mounts.read_text)
    wait_until(lambda: not _disks(), 60, "the loop device of the disks to be free")
    subprocess.run([sys.executable, "-m", "lab", "sweep"], cwd=ROOT, env=own, check=True)
    assert not DISKS.exists()
