"""What AWS lists for the program's resources and for Amazon MWAA in one region, each price with its source."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

TABLE = Path(__file__).with_suffix(".toml")
HOURS = 730
"""In a month, as in AWS's calculator: 365 * 24 / 12."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """A list price in US dollars, with the address and the date of its source."""

    usd: float
    per: Literal["hour", "month", "use"]
    address: str
    date: str
    """A day or a year; or the commit, if the source has no date."""
    note: str = ""

    @property
    def monthly(self) -> float:
        """For a whole month; for what is charged by use, of one unit."""
        return self.usd * HOURS if self.per == "hour" else self.usd


@cache
def _document() -> Mapping[str, Any]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def region() -> str:
    """The only region that the prices are for."""
    return str(_document()["region"])


@cache
def table() -> Mapping[str, Price]:
    """The prices by the name of what is charged: an instance type, a class, or words such as `NAT gateway`."""
    return {
        name: Price(usd=usd, per=per, address=source["address"], date=source["date"], note=source.get("note", ""))
        for source in _document()["source"]
        for per in ("hour", "month", "use")
        for name, usd in source.get(per, {}).items()
    }


def years() -> Sequence[str]:
    """The first and the last year in which a dated source was read."""
    dated = sorted(price.date[:4] for price in table().values() if price.date[:4].isdigit())
    return dated[0], dated[-1]
