from __future__ import annotations

import json
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


def test_a_package_system_that_fails_is_told(node: Path, capsys: pytest.CaptureFixture[str]):
    (node / "simulation").unlink()
    assert report_updates.main() != 0
    assert "No such file" in json.loads(capsys.readouterr().out)["error"]
