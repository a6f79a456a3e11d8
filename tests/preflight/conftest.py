"""Plans of the stacks, and a recorded AWS."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config

from preflight import __main__ as command
from preflight.account import Account
from preflight.checks import Answer, Finding
from preflight.needs import Needs
from tests.preflight.recorded_aws import Recorded, RecordedAws, empty_account
from tests.stack_variants import VARIANTS, recorded


@cache
def plan_of(variant: str) -> Needs:
    """What the plan of a stack or variant needs."""
    recording = recorded(variant)
    cluster = VARIANTS[variant]["airflow:cluster"]
    return Needs(recording, cluster=cluster["name"], account_id=str(cluster["accountId"]), region=recording.region)


@cache
def _client(service: str, region: str) -> Any:
    return boto3.session.Session().client(service, region_name=region)


def client(service: str, *, region_name: str, config: Config) -> Any:
    """One client for all tests, because making one takes longer than most tests."""
    assert config
    return _client(service, region_name)


class Preflight:
    """The checks of a plan against recorded answers."""

    def __init__(self, variant: str, aws: RecordedAws) -> None:
        self.needs = plan_of(variant)
        self.aws = aws

    def answers(self) -> list[Answer]:
        """What all checks find."""
        return list(command.checked(self.needs, Account(self.needs.region)))

    def findings(self, title: str) -> list[Finding]:
        """What the check of this title finds."""
        check = next(check for check in command.CHECKS if check.title == title)
        return list(command.answered(check, self.needs, Account(self.needs.region)).findings)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")


@pytest.fixture
def preflight(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Preflight]:
    """The checks of a variant's plan, in an account that has nothing yet but for the given answers."""

    def prepared(variant: str = "prod", **changes: Recorded) -> Preflight:
        answers = empty_account(plan_of(variant))
        changes = {
            name.replace("__", ".").replace("service_quotas", "service-quotas"): each for name, each in changes.items()
        }
        assert changes.keys() <= answers.keys(), "no check asks for this"
        aws = RecordedAws({**answers, **changes})
        aws.install(monkeypatch)
        monkeypatch.setattr("preflight.account.boto3.client", client)
        return Preflight(variant, aws)

    return prepared
