"""Skipped tests fail the run in CI, and are listed elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest

def test_that_passes():
    pass

@pytest.fixture
def server():
    pytest.skip("PostgreSQL's server is not installed here")

def test_on_a_server(server):
    pass

def test_on_a_server_again(server):
    pass

@pytest.mark.skipif(True, reason="systemd-analyze is not installed here")
def test_of_a_unit():
    pass
"""
EXPECTED_TO_FAIL = """
import pytest

@pytest.mark.xfail(strict=True, reason="a known limit")
def test_beyond_the_limit():
    assert False
"""
MODULE = 'import pytest\npytest.skip("needs root", allow_module_level=True)\n'


def run(tmp_path: Path, content: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """pytest as this project runs it, on a file of tests."""
    (tmp_path / "test_some.py").write_text(content)
    options = ["-q", "-p", "tests.conftest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "CI"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("content", [TESTS, MODULE], ids=["tests", "a whole module"])
def test_in_ci_a_skipped_test_fails(tmp_path: Path, content: str):
    done = run(tmp_path, content, CI="true")
    assert done.returncode != 0, done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout


def test_in_ci_the_failure_says_what_was_missing(tmp_path: Path):
    said = run(tmp_path, TESTS, CI="true").stdout
    assert "Left out, which is a failure under CI (CI=true): PostgreSQL's server is not installed here" in said
    assert "1 passed, 3 errors" in said


def test_in_ci_a_test_that_is_expected_to_fail_may_fail(tmp_path: Path):
    done = run(tmp_path, EXPECTED_TO_FAIL, CI="true")
    assert done.returncode == 0, done.stdout
    assert "1 xfailed" in done.stdout


@pytest.mark.parametrize("value", ["", "0", "false", "False"])
def test_a_variable_that_denies_ci_leaves_skipped_tests_alone(tmp_path: Path, value: str):
    done = run(tmp_path, TESTS, CI=value)
    assert done.returncode == 0, done.stdout


def test_outside_ci_the_run_ends_with_what_it_skipped_and_why(tmp_path: Path):
    done = run(tmp_path, TESTS)
    assert done.returncode == 0, done.stdout
    _, _, last = done.stdout.partition("left out on this machine")
    assert "2 tests: PostgreSQL's server is not installed here\n1 test: systemd-analyze is not installed here\n" in last


def test_a_run_that_skipped_nothing_prints_no_list(tmp_path: Path):
    assert "left out" not in run(tmp_path, "def test_that_passes():\n    pass\n").stdout
