from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

import package_lock
from node import lock
from node.airflow_options.lookup import REGISTRY
from node.artifacts import AIRFLOW_LOCK, LOCKS, UV_LOCK
from node.lock_inputs import inputs_line, stale_locks

PIN = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def _pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((LOCKS / name).read_text()))


@pytest.mark.parametrize("name", [AIRFLOW_LOCK, UV_LOCK])
def test_every_pin_has_a_hash(name: str):
    text = (LOCKS / name).read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    assert all("--hash=sha256:" in block for block in blocks if PIN.match(block))


@pytest.mark.parametrize("path", [LOCKS / AIRFLOW_LOCK, LOCKS / UV_LOCK, REGISTRY], ids=lambda path: path.name)
def test_no_file_names_a_package_index_or_a_place_of_the_machine_that_made_it(path: Path):
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|/(tmp|home|root)/", path.read_text())


def test_celery_stays_below_the_version_that_the_provider_cannot_import():
    major, minor, *_ = _pins(AIRFLOW_LOCK)["celery"].split(".")
    assert (int(major), int(minor)) < (5, 7)


def test_the_registry_is_that_of_the_locked_airflow():
    assert json.loads(REGISTRY.read_text())["airflow"] == _pins(AIRFLOW_LOCK)["apache-airflow"]


def test_the_locks_match_their_sources():
    assert stale_locks() is None


def test_a_comment_makes_no_lock_out_of_date_and_a_package_does(tmp_path: Path):
    lock_file, asked_for = tmp_path / "airflow.txt", tmp_path / "airflow-requirements.txt"
    asked_for.write_text("celery<5.7\n")
    lock_file.write_text(inputs_line([asked_for]) + "celery==5.6.1\n")
    asked_for.write_text("# why\n\ncelery<5.7  # because\n")
    assert stale_locks({lock_file: [asked_for]}) is None
    asked_for.write_text("celery<5.7\npandas\n")
    assert stale_locks({lock_file: [asked_for]}) == (
        "The lock does not match airflow-requirements.txt: nodes would install what was locked before. "
        "Run `make lock` and commit the changes."
    )


@pytest.mark.parametrize(
    "package", ["gunicorn", "psycopg", "psycopg2-binary", "asyncpg", "redis", "boto3", "prometheus-client"]
)
def test_what_the_settings_and_the_nodes_programs_need_is_locked(package: str):
    assert package in _pins(AIRFLOW_LOCK)


def test_a_package_that_cannot_be_resolved_leaves_the_repository_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refuse(*_: object, **__: object) -> None:
        raise lock.LockError("airflow.in + airflow-requirements.txt cannot be resolved:\nno version of nonsense")

    before = {path: path.read_bytes() for path in (*LOCKS.iterdir(), REGISTRY)}
    monkeypatch.setattr(lock, "compile_lock", refuse)
    assert package_lock.main(["--stack", "prod"]) == 1
    assert {path: path.read_bytes() for path in (*LOCKS.iterdir(), REGISTRY)} == before
    assert "no version of nonsense" in capsys.readouterr().err


def test_uv_locks_wheels_with_hashes_for_the_nodes_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    called: list[list[str]] = []
    monkeypatch.setattr(lock, "_uv", lambda command, _index, _failure: called.append(list(command)))
    (tmp_path / "lock").touch()
    lock.compile_lock(lock.AIRFLOW_SOURCES, tmp_path / "lock", upgrade=False, index=lock.PYPI)
    lock.unpack(tmp_path / "lock", tmp_path / "site", "aarch64-manylinux_2_28", index=lock.PYPI)
    for command in called:
        assert command[command.index("--only-binary") :][:2] == ["--only-binary", ":all:"]
        assert "3.13" in command
    assert "--generate-hashes" in called[0]
    assert "airflow-requirements.txt" in called[0]
    assert "--require-hashes" in called[1]


def test_a_variable_of_make_upgrades_the_lock(capsys: pytest.CaptureFixture[str]):
    """make takes `--upgrade` for an option of its own."""
    for arguments, command in ((["UPGRADE=1"], '--stack "prod" --upgrade\n'), ([], '--stack "prod" \n')):
        told = subprocess.run(
            ["make", "-n", "lock", *arguments], cwd=lock.ROOT, text=True, capture_output=True, check=True
        )
        assert command in told.stdout
    with pytest.raises(SystemExit):
        package_lock.main(["--help"])
    assert capsys.readouterr().out.startswith("usage: make lock [STACK=prod] [UPGRADE=1]")
