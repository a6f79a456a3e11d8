"""docs/cost.md is generated from the table of prices and the stack files, and README agrees with it."""

from __future__ import annotations

import re

from aws_catalog import prices
from docs import cost_reference
from plan import costs
from tests.stack_file import ROOT
from tests.stack_variants import recorded

PAGE = (ROOT / "docs/cost.md").read_text()


def test_the_page_is_up_to_date():
    assert cost_reference.page() == PAGE, "run `make docs`"


def test_the_page_has_every_price_with_its_source():
    listed = PAGE.partition("## The prices")[2]
    for name, price in prices.table().items():
        assert re.search(rf"[:,] {re.escape(name)} \${price.usd:g}/", listed), name
        assert f"[{price.date}]({price.address})" in listed, name


def test_what_the_readme_says_about_the_cost_agrees_with_the_page():
    readme = (ROOT / "README.md").read_text()
    prod, dev = (f"**${costs.floor(recorded(stack)).monthly:,.0f}**" for stack in ("prod", "dev"))
    assert re.search(rf"{re.escape(prod)} a month\s+for prod and\s+{re.escape(dev)} for dev", readme)
    assert f"| prod | {prod} |" in PAGE
    assert f"| dev | {dev} |" in PAGE


def test_mwaa_is_cheaper_at_rest_than_prod_as_the_page_and_the_readme_say():
    found = costs.floor(recorded("prod"))
    environment = costs.mwaa(found.tasks)
    assert environment is not None
    assert environment.monthly < found.monthly
