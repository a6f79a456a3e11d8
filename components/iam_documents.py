"""Who may take a role on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def assumed_by(service: str, *, condition: Mapping[str, Any] | None = None) -> str:
    """The trust policy that lets this AWS service and nobody else take the role on, and only on the condition, if any.

    `service` is the part of the principal's name before `.amazonaws.com`.
    """
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
        **({"Condition": dict(condition)} if condition else {}),
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def on_behalf_of(account_id: str, source_arn: str) -> Mapping[str, Any]:
    """The condition that the service acts for a resource of this account, whose ARN may end in `*`. Without it, any
    customer could make the service use our role: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    return {"StringEquals": {"aws:SourceAccount": account_id}, "ArnLike": {"aws:SourceArn": source_arn}}
