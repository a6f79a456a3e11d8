"""What an application load balancer does with a request, by its listeners and their rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine.recording import Resource

RULE = "aws:lb/listenerRule:ListenerRule"


def rules_of(resources: Iterable[Resource], listener: Resource) -> list[Resource]:
    """The rules in the order in which the load balancer evaluates them."""
    own = [r for r in resources if r.type == RULE and r.inputs["listenerArn"] == listener.outputs["arn"]]
    return sorted(own, key=lambda rule: rule.inputs["priority"])


def action_for(resources: Iterable[Resource], listener: Resource, path: str) -> Mapping[str, Any]:
    """The action of the first rule that matches, or the listener's default."""
    for rule in rules_of(resources, listener):
        [condition] = rule.inputs["conditions"]
        if _matches(condition["pathPattern"], path):
            return rule.inputs["actions"][0]
    return listener.inputs["defaultActions"][0]


def _matches(condition: Mapping[str, Any], path: str) -> bool:
    if "regexValues" in condition:
        return any(re.fullmatch(expression, path) for expression in condition["regexValues"])
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), path) for pattern in condition["values"])
