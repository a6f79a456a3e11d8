"""One thing that can be wrong with an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.preflight.recorded_aws import KEY

BUCKET = "airflow-prod-111122223333-eu-west-1-dags"
OUR_KEY = {"KeyId": "k", "Arn": KEY, "KeyState": "Enabled", "KeyManager": "CUSTOMER"}


class Fault(NamedTuple):
    """What AWS answers differently, and what the check of this title has to find.

    Attributes:
        variant: the stack that is planned.
        answers: by service and action, `iam__GetRole`.
        texts: what the finding says, among other things.
    """

    title: str
    variant: str
    answers: Mapping[str, Any]
    verdict: str
    texts: list[str]


def quota_of(code: str, value: float) -> Callable[[Mapping[str, Any]], Any]:
    """The quota of this code has a value, every other one is large."""
    return lambda given: {"Quota": {"Value": value if given["QuotaCode"] == code else 1e6}}
