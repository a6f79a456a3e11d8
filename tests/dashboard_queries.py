"""The queries of the dashboards' JSON files, as Grafana sends them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.stack_file import ROOT

FILES = sorted((ROOT / "dashboards").glob("*.json"))
# What stands in a query for the time between two points, for the shown time, and for a choice of everything.
_VARIABLES = {"$__interval": "1m", "$__rate_interval": "1m", "$__range": "5m"}


@dataclass(frozen=True)
class Query:
    """An expression with its panel."""

    dashboard: str
    panel: dict[str, Any]
    expr: str
    legend: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel['title']}"

    @property
    def sent(self) -> str:
        """The expression without Grafana's variables."""
        text = self.expr
        for name, value in _VARIABLES.items():
            text = text.replace(name, value)
        return re.sub(r'"\$\w+"', '".*"', text)

    @property
    def may_be_empty(self) -> bool:
        """Whether the panel says what it means if there are no series."""
        return "noValue" in self.panel["fieldConfig"]["defaults"]


def panels(name: str) -> list[dict[str, Any]]:
    """The panels of a dashboard, without the titles of its sections."""
    return [each for each in json.loads((ROOT / f"dashboards/{name}.json").read_text())["panels"] if "targets" in each]


def queries() -> list[Query]:
    """Those of all dashboards."""
    return [
        Query(file.stem, panel, target["expr"], target.get("legendFormat", ""))
        for file in FILES
        for panel in panels(file.stem)
        for target in panel["targets"]
    ]
