"""The monitor's alert rules, for panels that show what a rule watches, with its limit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from node.rootfs import ROOTFS

_FILES = ROOTFS / "monitor/usr/local/share/airflow/alerts"
_COMPARISON = re.compile(r"(?P<watched>.+) (?P<operator>[<>]|==) (?P<limit>[\d.e]+(?: \* [\d.e]+)*)")
_RECENT_PASS = re.compile(r"and on \(node\) time\(\) - airflow_scaling_last_pass_timestamp_seconds < (\d+)")


@dataclass(frozen=True)
class Watch:
    """What an alert rule compares with a limit.

    Attributes:
        alert: the rule's name.
        expr: the left side of its comparison.
        limit: the right side, in the unit of `expr`.
        bad_below: whether the alert fires at or below the limit, instead of above it.
    """

    alert: str
    expr: str
    limit: float
    bad_below: bool


def watch(alert: str, part: int = 0) -> Watch:
    """What the rule compares with a number; `part` counts its alternatives, joined by `or`, from 0.

    Raises KeyError without such a rule, ValueError if it has no such comparison.
    """
    text = _rules()[alert]["expr"].strip().split(" or ")[part]
    found = _COMPARISON.fullmatch(text)
    if found is None:
        raise ValueError(f"the alert rule {alert} compares with no number: {text}")
    limit = math.prod(float(factor) for factor in found["limit"].split(" * "))
    return Watch(alert, found["watched"], limit, bad_below=found["operator"] != ">")


def when(alert: str) -> str:
    """The sentence about the alert in a panel's description. Raises KeyError without such a rule."""
    rule = _rules()[alert]
    return f"Alert: {alert}, {rule['labels']['severity']}, after {rule['for']}; see docs/alert-rules.md."


def recent_pass_seconds() -> int:
    """How long ago a master's scaling pass may have been for its figures to count."""
    [seconds] = {int(age) for rule in _rules().values() for age in _RECENT_PASS.findall(rule["expr"])}
    return seconds


@cache
def _rules() -> Mapping[str, Mapping[str, Any]]:
    groups = [group for file in sorted(_FILES.glob("*.yml")) for group in yaml.safe_load(file.read_text())["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}
