"""The table of prices: each has a source and a date, and is plausible beside the others."""

from __future__ import annotations

import re
import tomllib

import pytest

from aws_catalog import instance_types, prices


def test_every_price_has_a_source_and_says_when_it_was_read():
    for name, price in prices.table().items():
        assert price.usd > 0, name
        assert re.fullmatch(r"https://\S+", price.address), name
        assert re.fullmatch(r"20\d\d(-\d\d-\d\d)?|commit [0-9a-f]{12}, undated", price.date), name
        if commit := re.fullmatch(r"commit (\w+), undated", price.date):
            assert commit.group(1) in price.address, name


def test_nothing_has_two_prices():
    sources = tomllib.loads(prices.TABLE.read_text())["source"]
    names = [name for source in sources for unit in ("hour", "month", "use") for name in source.get(unit, {})]
    assert sorted(names) == sorted(prices.table())


def test_every_instance_type_with_a_price_exists():
    types = [name for name in prices.table() if re.fullmatch(r"[a-z]\d[a-z-]*\.\w+", name)]
    assert len(types) > 50
    assert [name for name in types if not instance_types.exists(name)] == []


def test_twice_the_size_costs_twice_as_much():
    table = prices.table()
    for name, price in table.items():
        family, _, size = name.rpartition(".")
        if family and (double := table.get(f"{family}.{ {'large': 'xlarge', 'xlarge': '2xlarge'}.get(size) }")):
            assert double.usd == pytest.approx(2 * price.usd, rel=0.01), name


def test_an_hourly_price_counts_730_times_a_month_and_a_monthly_one_once():
    table = prices.table()
    assert table["NAT gateway"].monthly == pytest.approx(32.85)
    assert table["secret"].monthly == 0.4
