"""What the lab says of the machine it is started on."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.host import check_distribution, memory_free_kib
from lab.progress import LabError


def os_release(path: Path, **values: str) -> Path:
    file = path / "os-release"
    file.write_text("".join(f'{key}="{value}"\n' for key, value in values.items()))
    return file


@pytest.mark.parametrize("version", ["12", "13"])
def test_debian_12_and_13_are_fine(tmp_path: Path, version: str):
    check_distribution(os_release(tmp_path, ID="debian", VERSION_ID=version))


@pytest.mark.parametrize(("distribution", "version"), [("debian", "11"), ("ubuntu", "13"), ("fedora", "42")])
def test_other_systems_are_told_what_works_there(tmp_path: Path, distribution: str, version: str):
    file = os_release(tmp_path, ID=distribution, VERSION_ID=version, PRETTY_NAME="Some System 1")
    with pytest.raises(LabError, match=r"this is Some System 1\. `make check`"):
        check_distribution(file)


def test_memory_counts_what_programs_can_have(tmp_path: Path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       24683504 kB\nMemFree:  1 kB\nMemAvailable:   17943552 kB\n")
    assert memory_free_kib(meminfo) == 17943552
