from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.node.programs import load

install_airflow = load("install-airflow")
publish_environment = load("publish-environment")
BUCKET = "airflow-prod-artifacts"
LOCK = "apache-airflow==3.3.2 --hash=sha256:0\n"


@pytest.fixture
def home(tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> Path:
    """/opt/airflow of a new node after the artifacts step; what it builds holds `built`."""
    assert waits == []
    monkeypatch.setattr(install_airflow.venv_build, "build", _build)
    return _node(tmp_path / "new")


@pytest.fixture
def s3(aws_over_http: boto3.Session) -> Any:
    client = aws_over_http.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


def _node(home: Path) -> Path:
    (home / "artifacts").mkdir(parents=True)
    (home / "artifacts/airflow.txt").write_text(LOCK)
    return home


def _build(_home: Path, environment: Path, _index: object = None) -> None:
    (environment / "bin").mkdir(parents=True)
    (environment / "bin/airflow").write_text("built")


@pytest.fixture
def published(s3: Any, tmp_path: Path) -> list[str]:
    """The keys of an environment that a master has published, with a program that prints `published`."""
    master = _node(tmp_path / "master")
    _build(master, master / "venv")
    (master / "venv/bin/airflow").write_text("published")
    (master / "venv/lib64").symlink_to("lib")
    publish_environment.publish(BUCKET, master)
    return [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]


def _program(home: Path) -> str:
    return (home / "venv/bin/airflow").read_text()


@pytest.mark.usefixtures("published")
def test_a_published_environment_is_unpacked(home: Path):
    assert install_airflow.install(BUCKET, home).startswith("Airflow is unpacked from s3://airflow-prod-artifacts/env")
    assert _program(home) == "published"
    assert (home / "venv/lib64").readlink() == Path("lib")
    assert not (home / "venv.new").exists()


def test_without_a_published_environment_it_is_installed_and_the_reason_is_logged(
    s3: Any, home: Path, capsys: pytest.CaptureFixture[str]
):
    assert s3
    assert "installed from the lock" in install_airflow.install(BUCKET, home)
    assert _program(home) == "built"
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("it cannot be unpacked: none is published yet for this lock, Python and machine.")


@pytest.mark.parametrize("suffix", [".tar", ".json"])
def test_a_broken_environment_is_not_used_and_the_reason_is_logged(
    s3: Any, published: list[str], suffix: str, home: Path, capsys: pytest.CaptureFixture[str]
):
    (broken, *_) = [key for key in published if key.endswith(suffix)]
    s3.put_object(Bucket=BUCKET, Key=broken, Body=b"", ContentEncoding="zstd")
    install_airflow.install(BUCKET, home)
    assert _program(home) == "built"
    (line,) = capsys.readouterr().out.splitlines()
    assert "Airflow is installed from the lock, because it cannot be unpacked: " in line


def test_without_a_response_from_s3_airflow_is_installed_from_the_lock(
    s3: Any, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert s3
    monkeypatch.setattr(install_airflow.aws_request, "endpoint", lambda *_: "http://127.0.0.1:1")
    install_airflow.install(BUCKET, home)
    assert _program(home) == "built"
    assert "Connection refused" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.usefixtures("published")
def test_an_incomplete_environment_is_never_in_place(home: Path, monkeypatch: pytest.MonkeyPatch):
    def break_off(_bucket: str, _parts: object, target: Path) -> None:
        target.mkdir()
        assert not (home / "venv").exists()
        raise install_airflow.venv_archive.UnpackError("the network is gone")

    monkeypatch.setattr(install_airflow.venv_archive, "unpack", break_off)
    install_airflow.install(BUCKET, home)
    assert _program(home) == "built"


@pytest.mark.usefixtures("published")
def test_an_interrupted_download_is_retried(home: Path, monkeypatch: pytest.MonkeyPatch):
    unpack, failures = install_airflow.venv_archive.unpack, ["the network is gone"]

    def break_off_once(bucket: str, parts: Any, target: Path) -> None:
        if failures:
            target.mkdir()
            raise install_airflow.venv_archive.UnpackError(failures.pop())
        unpack(bucket, parts, target)

    monkeypatch.setattr(install_airflow.venv_archive, "unpack", break_off_once)
    install_airflow.install(BUCKET, home)
    assert _program(home) == "published"


def test_a_reboot_installs_nothing_again(s3: Any, home: Path, monkeypatch: pytest.MonkeyPatch):
    assert s3
    install_airflow.install(BUCKET, home)
    monkeypatch.setattr(install_airflow.aws_request, "endpoint", lambda *_: "http://127.0.0.1:1")
    assert "was installed already" in install_airflow.install(BUCKET, home)


def test_another_lock_is_installed_from_scratch(s3: Any, home: Path):
    assert s3
    install_airflow.install(BUCKET, home)
    (home / "venv/left-over").touch()
    (home / "artifacts/airflow.txt").write_text("apache-airflow==3.3.3 --hash=sha256:1\n")
    install_airflow.install(BUCKET, home)
    assert not (home / "venv/left-over").exists()
    stamp = hashlib.sha256((home / "artifacts/airflow.txt").read_bytes()).hexdigest()
    assert (home / "venv/.lock-sha256").read_text() == stamp


def test_a_failed_installation_leaves_no_stamp(s3: Any, home: Path, monkeypatch: pytest.MonkeyPatch):
    assert s3

    def fail(home: Path, environment: Path, _index: object) -> None:
        _build(home, environment)
        raise install_airflow.boot_step.StepFailedError("the index is gone")

    monkeypatch.setattr(install_airflow.venv_build, "build", fail)
    with pytest.raises(install_airflow.boot_step.StepFailedError):
        install_airflow.install(BUCKET, home)
    assert not (home / "venv/.lock-sha256").exists()
