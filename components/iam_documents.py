"""IAM policy documents: the statements of identity, bucket and trust policies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Statement = dict[str, Any]


def allow(
    action: str | Sequence[str],
    resource: Any = None,
    *,
    sid: str | None = None,
    principal: Any = None,
    condition: Mapping[str, Any] | None = None,
) -> Statement:
    """A statement that allows actions. A trust policy's names a principal and no resource."""
    # In this order: another order is another text, hence an update of the policy.
    parts = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": principal,
        "Action": action,
        "Resource": resource,
        "Condition": condition,
    }
    return {key: value for key, value in parts.items() if value is not None}


def deny(action: str, resource: Any, *, sid: str, principal: Any, condition: Mapping[str, Any]) -> Statement:
    """A statement that denies an action, regardless of what other statements allow."""
    return allow(action, resource, sid=sid, principal=principal, condition=condition) | {"Effect": "Deny"}


def document(statements: Sequence[Statement]) -> dict[str, Any]:
    """The policy with these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trust_policy(service: str, *, condition: Mapping[str, Any] | None = None) -> str:
    """The trust policy of a role that only this AWS service can assume, under the condition if there is one.

    `service` is the part of the principal's name before `.amazonaws.com`.
    """
    principal = {"Service": f"{service}.amazonaws.com"}
    return json.dumps(document([allow("sts:AssumeRole", principal=principal, condition=condition)]))


def on_behalf_of(account_id: str, source_arn: str) -> Mapping[str, Any]:
    """The condition that the service acts for a resource of this account, whose ARN may end in `*`. Without it, any
    customer could make the service use our role: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    return {"StringEquals": {"aws:SourceAccount": account_id}, "ArnLike": {"aws:SourceArn": source_arn}}
