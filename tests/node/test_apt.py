"""With the machine's apt-get and an archive of the test. In dpkg's place is a program that notes its arguments."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from tests.node.programs import load, module

apt = module("airflow_node.apt")
install_packages = load("install-packages")
pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not installed here")

CONFIGURATION = """
Dir "{root}";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::status "{root}/status";
Dir::Bin::dpkg "{root}/dpkg";
Dir::Bin::methods "/usr/lib/apt/methods";
APT::Sandbox::User "root";
APT::Architecture "amd64";
APT::Architectures "amd64";
Acquire::Languages "none";
Acquire::Retries "0";
Debug::NoLocking "true";
"""
PACKAGE = """Package: {name}
Version: 1.0
Architecture: amd64
Filename: ./{name}.deb
Size: {size}
SHA256: {sha256}
Maintainer: nobody
Description: a package

"""
# What systemd-run does with the command, without a systemd.
SYSTEMD_RUN = """#!/bin/sh
while case $1 in -*) true;; *) false;; esac; do case $1 in --setenv=*) export "${1#--setenv=}";; esac; shift; done
exec "$@"
"""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Path:
    """The folder of a machine with an archive that has `git` and `g++`, and no package installed."""
    assert waits == []
    for folder in (
        "archive",
        "bin",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/log/apt",
        "etc",
    ):
        (tmp_path / folder).mkdir(parents=True)
    packages = []
    for name in ("git", "g++"):
        content = f"!<arch>\n{name}".encode()
        (tmp_path / f"archive/{name}.deb").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        packages.append(PACKAGE.format(name=name, size=len(content), sha256=sha256))
    (tmp_path / "archive/Packages").write_text("".join(packages))
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/archive ./\n")
    (tmp_path / "status").touch()
    (tmp_path / "apt.conf").write_text(CONFIGURATION.format(root=tmp_path))
    for program, text in (
        ("dpkg", f'#!/bin/sh\necho "$DEBIAN_FRONTEND: $@" >>{tmp_path}/installed\n'),
        ("bin/systemd-run", SYSTEMD_RUN),
        ("bin/dpkg-query", "#!/bin/sh\necho curl installed\necho vim config-files\nexit 1\n"),
    ):
        (tmp_path / program).write_text(text)
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return tmp_path


def _installed(archive: Path) -> str:
    noted = archive / "installed"
    return noted.read_text() if noted.exists() else ""


def test_packages_are_installed_from_the_archive_without_a_question(archive: Path):
    assert install_packages.install(["git", "g++"]) == "Debian packages are installed: git, g++"
    for line in _installed(archive).splitlines():
        assert line.startswith("noninteractive: ")
        assert "--force-confdef --force-confold" in line
    assert "git.deb" in _installed(archive)


def test_what_is_installed_is_not_fetched_again(archive: Path):
    (archive / "sources.list").write_text("deb http://127.0.0.1:9 trixie main\n")
    assert install_packages.install(["curl"]) == "No Debian package has to be installed"
    assert apt.missing(["curl", "vim", "git"]) == ["vim", "git"], "vim was removed again"


def test_all_names_that_debian_does_not_have_are_reported_at_once_and_not_tried_again(
    archive: Path, waits: list[float]
):
    with pytest.raises(apt.StepFailedError, match=r"has no package gitt, vimm for this node\. Correct systemPackages"):
        apt.install(["vimm", "git", "gitt"])
    assert waits == []
    assert _installed(archive) == ""


def test_a_name_with_a_dot_is_no_regular_expression(archive: Path):
    with pytest.raises(apt.StepFailedError, match=r"has no package gi\.t for this node"):
        apt.install(["gi.t"])
    assert _installed(archive) == ""


def test_a_mirror_that_does_not_answer_is_tried_again_and_no_stale_list_is_used(
    archive: Path, waits: list[float], capsys: pytest.CaptureFixture[str]
):
    apt.install(["git"])
    (archive / "installed").unlink()
    with (archive / "sources.list").open("a") as sources:
        sources.write("deb http://127.0.0.1:9 trixie main\n")
    with pytest.raises(apt.StepFailedError, match=r"apt cannot install: .*127\.0\.0\.1.* Check the network path"):
        apt.install(["git"])
    assert sum(waits) == pytest.approx(600)
    assert "trying again" in capsys.readouterr().out
    assert _installed(archive) == ""


def test_a_lock_that_another_apt_holds_is_waited_for(
    archive: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
):
    """apt-get update fails at once, whatever its time-out for dpkg's lock."""
    assert f"--option=DPkg::Lock::Timeout={apt.LOCK_SECONDS}" in apt.COMMANDS
    update = archive / "bin/apt-get"
    update.write_text(
        "#!/bin/sh\necho 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7'\nexit 100\n"
    )
    update.chmod(0o755)

    def wait(seconds: float) -> None:
        waits.append(seconds)
        update.unlink(missing_ok=True)

    monkeypatch.setattr(module("airflow_node.retry"), "wait", wait)
    apt.install(["git"])
    assert len(waits) == 1
    assert "git.deb" in _installed(archive)


def test_apt_runs_outside_of_the_steps_sandbox_with_a_time_limit():
    assert "--property=RuntimeMaxSec=480" in apt.IN_ITS_OWN_UNIT
    assert "--property=After=cloud-config.service" in apt.IN_ITS_OWN_UNIT, "cloud-init writes apt's sources"
