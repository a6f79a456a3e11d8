"""AWS's evaluation of policies, for what the program's policies use: actions, resources, principals and conditions.

moto compares only the resource of S3 requests and treats every condition as met, so nothing would refuse what a worker
must not do. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call of an AWS API.

    Attributes:
        action: `service:Operation`.
        resource: ARN, or `*` where the operation has none.
        principal: ARN of the calling user or role session, or the name of an AWS service.
        context: the values of the condition keys that the request has.
    """

    action: str
    resource: str
    principal: str
    context: Mapping[str, str] = field(default_factory=dict)


class UnsupportedPolicyError(Exception):
    """A policy uses an element that is not implemented here; it is neither allowed nor refused silently."""


def is_allowed(request: Request, identity: Iterable[Document], resource: Iterable[Document] = ()) -> bool:
    """Whether the caller's own policies or the resource's allow the request, and none denies it.

    For a resource in another account, both must allow it.
    """
    effects = [
        {
            statement["Effect"]
            for document in documents
            for statement in _listed(document["Statement"])
            if _applies(statement, request, needs_principal=needs_principal)
        }
        for documents, needs_principal in ((identity, False), (resource, True))
    ]
    if any("Deny" in found for found in effects):
        return False
    enough = all if _crosses_accounts(request) else any
    return enough("Allow" in found for found in effects)


def _crosses_accounts(request: Request) -> bool:
    if not request.principal.startswith("arn:"):
        return False
    caller = request.principal.split(":")[4]
    return request.context.get("aws:ResourceAccount", caller) != caller


def _applies(statement: Document, request: Request, *, needs_principal: bool) -> bool:
    if unknown := set(statement) - {
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Principal",
        "Condition",
    }:
        raise UnsupportedPolicyError(f"{', '.join(sorted(unknown))} in statement {statement.get('Sid', '')}")
    return (
        _element(statement, "Action", request.action, ignore_case=True)
        and (_is_trust(statement) or _element(statement, "Resource", request.resource))
        and (not needs_principal or _is_principal(statement["Principal"], request.principal))
        and all(
            _condition(operator, key, _listed(values), request.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _element(statement: Document, name: str, value: str, *, ignore_case: bool = False) -> bool:
    """Match `Action` or `NotAction`, `Resource` or `NotResource`."""
    if f"Not{name}" in statement:
        return not any(_like(pattern, value, ignore_case) for pattern in _listed(statement[f"Not{name}"]))
    return any(_like(pattern, value, ignore_case) for pattern in _listed(statement[name]))


def _is_trust(statement: Document) -> bool:
    """A role's trust policy names no resource: it applies to the role itself."""
    return "Principal" in statement and not {"Resource", "NotResource"} & set(statement)


def _is_principal(principal: str | Mapping[str, Any], caller: str) -> bool:
    """Whether a resource policy's statement applies to this caller: everyone, or its service, account, user or role."""
    if isinstance(principal, str):
        return principal == "*"
    if not caller.startswith("arn:"):
        return caller in _listed(principal.get("Service", []))
    account = caller.split(":")[4]
    role = re.sub(r":sts:(.*):assumed-role/([^/]+)/.*", r":iam:\1:role/\2", caller)
    return any(
        name in ("*", account, f"arn:aws:iam::{account}:root", caller, role)
        for name in _listed(principal.get("AWS", []))
    )


def _condition(operator: str, key: str, wanted: list[str], context: Mapping[str, str]) -> bool:
    """One key of a condition block; several values are alternatives. Keys are the same in any case."""
    name, if_exists = operator.removesuffix("IfExists"), operator.endswith("IfExists")
    given = {known.lower(): value for known, value in context.items()}.get(key.lower())
    if name == "Null":
        return (given is None) == (str(wanted[0]).lower() == "true")
    if name not in _OPERATORS:
        raise UnsupportedPolicyError(f"condition operator {operator}")
    negated, compare = _OPERATORS[name]
    if given is None:
        return if_exists or negated
    return any(compare(str(value), given) for value in wanted) != negated


@cache
def _pattern(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    if "${" in pattern:
        raise UnsupportedPolicyError(f"policy variable in {pattern}")
    wild = {"*": ".*", "?": "."}
    return re.compile(
        "".join(wild.get(character) or re.escape(character) for character in pattern),
        re.DOTALL | (re.IGNORECASE if ignore_case else 0),
    )


def _like(pattern: str, value: str, ignore_case: bool = False) -> bool:
    return _pattern(pattern, ignore_case).fullmatch(value) is not None


def _equal(wanted: str, given: str) -> bool:
    return wanted == given


def _equal_in_any_case(wanted: str, given: str) -> bool:
    return wanted.lower() == given.lower()


def _less(wanted: str, given: str) -> bool:
    return float(given) < float(wanted)


# Operator -> (negated, comparison of the policy's value with the request's)
_OPERATORS: Mapping[str, tuple[bool, Callable[[str, str], bool]]] = {
    "StringEquals": (False, _equal),
    "StringNotEquals": (True, _equal),
    "StringLike": (False, _like),
    "StringNotLike": (True, _like),
    "ArnEquals": (False, _like),
    "ArnLike": (False, _like),
    "ArnNotEquals": (True, _like),
    "ArnNotLike": (True, _like),
    "Bool": (False, _equal_in_any_case),
    "NumericLessThan": (False, _less),
}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
