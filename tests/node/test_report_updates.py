from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.node.programs import load

report_updates = load("report-updates")

# What apt-get of Debian 13 printed on a node whose libkrb5 was put back to an older version.
SIMULATION = """\
Reading package lists...
NOTE: This is only a simulation!
Inst libkrb5-3 [1.21.3-5+deb13u1] (1.21.3-5+deb13u2 Debian-Security:13/stable-security [amd64])
Inst tzdata [2026a-0+deb13u1] (2026b-0+deb13u1 Debian:13.9/stable [all])
Inst libk5crypto3 [1.21.3-5+deb13u1] (1.21.3-5+deb13u2 Debian-Security:13/stable-security [amd64]) []
Conf libkrb5-3 (1.21.3-5+deb13u2 Debian-Security:13/stable-security [amd64])
"""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node that has been up for three days and a half, and has this simulation to print."""
    (tmp_path / "simulation").write_text(SIMULATION)
    (tmp_path / "uptime").write_text("302400.17 600000.00\n")
    monkeypatch.setattr(report_updates, "SIMULATION", ("cat", str(tmp_path / "simulation")))
    monkeypatch.setattr(report_updates, "UPTIME", tmp_path / "uptime")
    monkeypatch.setattr(report_updates, "REBOOT_REQUIRED", tmp_path / "reboot-required")
    return tmp_path


def test_a_node_names_the_security_updates_that_it_lacks(node: Path, capsys: pytest.CaptureFixture[str]):
    assert report_updates.main() == 0
    assert json.loads(capsys.readouterr().out) == {
        "event": "updates",
        "up_days": 3.5,
        "security_updates_missing": ["libk5crypto3", "libkrb5-3"],
        "reboot_required": False,
    }
    (node / "reboot-required").touch()
    report_updates.main()
    assert json.loads(capsys.readouterr().out)["reboot_required"] is True


def test_a_failure_of_apt_is_reported(node: Path, capsys: pytest.CaptureFixture[str]):
    (node / "simulation").unlink()
    assert report_updates.main() != 0
    assert "No such file" in json.loads(capsys.readouterr().out)["error"]


needs_apt = pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not installed here")

OLD_KERNEL, NEW_KERNEL = "linux-image-6.12.48+deb13-cloud-amd64", "linux-image-6.12.57+deb13-cloud-amd64"


def package(name: str, version: str, depends: str, **fields: str) -> str:
    """A paragraph as in dpkg's list of installed packages and in an archive's index."""
    required = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "us", "Description": "a"}
    dependency = {"Depends": depends} if depends else {}
    return "\n".join(f"{key}: {value}" for key, value in {**required, **dependency, **fields}.items()) + "\n\n"


def kernel(version: str, package_with_version: str, **fields: str) -> str:
    """The package that depends on the newest kernel, and that kernel's own."""
    metapackage = package("linux-image-cloud-amd64", version, package_with_version, **fields)
    return metapackage + package(package_with_version, version, "", **fields)


def security_archive(path: Path, packages: str) -> None:
    """An archive with the labels of Debian's security archive. apt fetches no package for a simulation."""
    path.mkdir()
    (path / "Packages").write_text(packages)
    digest = hashlib.sha256(packages.encode()).hexdigest()
    (path / "Release").write_text(
        "Origin: Debian\nLabel: Debian-Security\nSuite: stable-security\nVersion: 13\nCodename: trixie-security\n"
        f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {digest} {len(packages)} Packages\n"
    )


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of an apt without packages and sources, which does not touch the machine's."""
    root = tmp_path / "apt"
    for directory in ("etc/apt", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"):
        (root / directory).mkdir(parents=True)
    (root / "apt.conf").write_text(
        f'Dir "{root}";\nDir::State::status "{root}/var/lib/dpkg/status";\n'
        'APT::Architecture "amd64";\nAPT::Architectures { "amd64"; };\nAPT::Sandbox::User "root";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(root / "apt.conf"))
    return root


@needs_apt
def test_a_missing_kernel_update_is_named_although_it_is_a_new_package(
    apt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (apt / "var/lib/dpkg/status").write_text(kernel("6.12.48-1", OLD_KERNEL, Status="install ok installed"))
    fetched = {"Filename": "x.deb", "Size": "1", "SHA256": "0" * 64}
    security_archive(tmp_path / "archive", kernel("6.12.57-1", NEW_KERNEL, **fetched))
    (apt / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/archive ./\n")
    subprocess.run(["apt-get", "update"], check=True, capture_output=True)
    assert report_updates.main() == 0
    assert json.loads(capsys.readouterr().out)["security_updates_missing"] == [NEW_KERNEL, "linux-image-cloud-amd64"]
