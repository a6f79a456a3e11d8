"""What all tests share: an AWS of their own, and a word on the tests that a run left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

UNDER_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Any:
    """Under CI nothing is left out: what the tests need is installed there, or the gate would pass by skipping."""
    report = yield
    return _failed(report) if UNDER_CI and _left_out(report) else report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Any:
    """The same for whole modules."""
    report = yield
    return _failed(report) if UNDER_CI and _left_out(report) else report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The last words: how many tests were left out on this machine, and why."""
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
    """What was given as the reason; pytest keeps it as the last part of a place in the source."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return "\n    ".join(reason.removeprefix("Skipped: ").splitlines())


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    """AWS inside this process, with credentials that open nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield boto3.Session()
