"""What all tests share: a fake AWS, and a list of the tests that a run skipped."""

from __future__ import annotations

import fcntl
import gc
import os
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import hypothesis
import pulumi.runtime.resource
import pytest
from moto import mock_aws
from moto.server import ThreadedMotoServer
from pulumi.runtime.proto.source_pb2 import StackTrace

from dags import environment

# Each run of the program makes some 300,000 objects, nearly all of which live until its end. At Python's default of 700
# new objects (2,000 since 3.13) for a collection, garbage collection takes half of a run's processor time.
gc.set_threshold(100_000, 50, 50)

# For each resource, the SDK of Pulumi describes all frames of the stack, which in a test are some 80: a third of a run.
# Only the CLI's messages name them.
pulumi.runtime.resource._get_stack_trace = StackTrace  # ty: ignore[invalid-assignment]

# A session reads the models of its services from files, which takes 0.3 s for EC2's. All sessions share what one reads.
botocore.session.create_loader = cache(botocore.session.create_loader)  # ty: ignore[invalid-assignment]

UNDER_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

# On a busy machine an example takes as long as it takes. In CI the examples are always the same: what a search finds by
# chance does not belong to the change that is tested, and to shrink it takes minutes.
hypothesis.settings.register_profile("ours", deadline=None, derandomize=UNDER_CI)
hypothesis.settings.load_profile("ours")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Any:
    """In CI, a skipped test fails: what tests need is installed there, and the gate must not pass by skipping."""
    report = yield
    return _failed(report) if UNDER_CI and _left_out(report) else report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Any:
    """In CI, a skipped module fails too."""
    report = yield
    return _failed(report) if UNDER_CI and _left_out(report) else report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print at the end how many tests were skipped on this machine, and why."""
    reasons = Counter(_reason(report) for report in terminalreporter.getreports("skipped"))
    if not reasons:
        return
    terminalreporter.section("left out on this machine, and a failure under CI", yellow=True, bold=True)
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count} {'test' if count == 1 else 'tests'}: {reason}")


def _left_out(report: Any) -> bool:
    """A test that failed as its xfail mark expects has the outcome "skipped" too, but it has run."""
    return report.skipped and not hasattr(report, "wasxfail")


def _failed(report: Any) -> Any:
    report.longrepr = f"Left out, which is a failure under CI (CI={os.environ['CI']}): {_reason(report)}"
    report.outcome = "failed"
    return report


def _reason(report: Any) -> str:
    """The reason for the skip, which pytest stores as the last part of the location."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return "\n    ".join(reason.removeprefix("Skipped: ").splitlines())


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    """AWS inside this process, with credentials that are valid nowhere."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    # Public images, which moto would make anew for each test that uses EC2 or Auto Scaling: 0.4 s.
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    with mock_aws():
        yield boto3.Session()


@pytest.fixture(scope="session")
def aws_server() -> Iterator[str]:
    """The endpoint of `aws` over HTTP."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def nodes_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Python of an environment with the nodes' packages, which the processes of a parallel run share."""
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "nodes-environment"
    cache.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, (cache / "lock").open("w") as lock:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        patch.setenv("PYENV_VERSION", environment.PYTHON_VERSION)  # else pyenv's commands refuse to run
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = environment.python_of_the_nodes()
        fcntl.flock(lock, fcntl.LOCK_UN)
        yield python
