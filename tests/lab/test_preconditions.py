"""The errors on a machine on which the lab cannot run; on a real one in tests/cluster/test_preconditions.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import preconditions
from lab.progress import LabError


def os_release(path: Path, **values: str) -> Path:
    file = path / "os-release"
    file.write_text("".join(f'{key}="{value}"\n' for key, value in values.items()))
    return file


@pytest.mark.parametrize("version", ["12", "13"])
def test_debian_12_and_13_are_supported(tmp_path: Path, version: str):
    assert not [*preconditions._of_distribution(os_release(tmp_path, ID="debian", VERSION_ID=version))]


@pytest.mark.parametrize(("distribution", "version"), [("debian", "11"), ("ubuntu", "13"), ("fedora", "42")])
def test_on_other_systems_the_error_names_what_works_there(tmp_path: Path, distribution: str, version: str):
    file = os_release(tmp_path, ID=distribution, VERSION_ID=version, PRETTY_NAME="Some System 1")
    [fault] = preconditions._of_distribution(file)
    assert "this is Some System 1. `make check`" in fault


def test_a_system_without_a_name_is_not_supported(tmp_path: Path):
    [fault] = preconditions._of_distribution(tmp_path / "os-release")
    assert "this is another system. `make check`" in fault


def test_without_root_the_error_lists_everything_that_can_be_checked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LabError) as refused:
        preconditions.check("Too little memory.")
    *_, memory, root = str(refused.value).splitlines()
    assert (memory, root) == ("Too little memory.", preconditions.ROOT)


def test_a_capability_that_is_not_effective_is_named(tmp_path: Path):
    """What Docker leaves root without --privileged."""
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nCapPrm:\t000001ffffffffff\nCapEff:\t00000000a80425fb\n")
    assert preconditions._of_capabilities(status) == ["Root lacks CAP_NET_ADMIN, CAP_SYS_ADMIN."]


@pytest.mark.parametrize(
    "files", [{}, {"cgroup.controllers": "cpu io pids"}], ids=["no hierarchy", "version 2 without it"]
)
def test_cgroups_without_the_memory_controller_are_a_fault(tmp_path: Path, files: dict[str, str]):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    [fault] = preconditions._of_cgroups(tmp_path)
    assert "no `memory` controller" in fault


def test_a_cgroup_that_cannot_be_delegated_is_named(tmp_path: Path):
    """As in a container with cgroups of its own, whose top holds its processes."""
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids")
    (tmp_path / "cgroup.subtree_control").mkdir()
    [fault] = preconditions._of_cgroups(tmp_path)
    assert f"{tmp_path}/cgroup.subtree_control" in fault
