"""The reference page of the Airflow options is generated from the program's own tables."""

from __future__ import annotations

from docs import airflow_options_reference
from node.airflow_options import lookup
from node.environment import LOCKED_OPTIONS
from tests.node.environments import BOTH
from tests.stack_file import ROOT


def test_the_page_is_up_to_date():
    written = (ROOT / "docs/airflow-options.md").read_text()
    assert written == airflow_options_reference.page(), "run `make docs`"


def test_every_option_that_a_node_sets_is_on_the_page_and_locked_ones_are_marked():
    defaults, _, rest = airflow_options_reference.page().partition("## Locked options")
    locked = rest.partition("## Options that hold secrets")[0]
    for section, option in {name for environment in BOTH for name in environment.options()}:
        part = locked if (section, option) in LOCKED_OPTIONS else defaults
        assert f"\n| `{section}.{option}` |" in part


def test_every_option_that_holds_a_secret_is_on_the_page():
    rows = airflow_options_reference.page().partition("## Options that hold secrets")[2].splitlines()
    names = [row.split("`")[1].split(".") for row in rows if "`<cluster>/" in row]
    assert ["database", "sql_alchemy_conn"] in names
    assert all(lookup.sensitive(section, option) for section, option in names)
