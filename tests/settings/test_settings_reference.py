"""The reference page of the settings is generated from them."""

from __future__ import annotations

from docs import settings_reference
from settings import Settings, schema
from settings.rules import RULES
from tests.stack_file import ROOT


def test_the_page_is_up_to_date():
    written = (ROOT / "docs/settings.md").read_text()
    assert written == settings_reference.page(), "run `make docs`"


def test_every_key_has_a_docstring():
    sections = [Settings]
    for section in sections:
        for key, (_, field) in schema.fields_by_key(section).items():
            nested = schema.section_of(field.annotation)
            if nested:
                assert nested.__doc__, f"{nested.__name__} needs a docstring: it introduces the section on the page"
                sections.append(nested)
            else:
                assert field.description, f"{section.__name__}.{key} needs a docstring: it is the key's entry"


def test_every_rule_is_on_the_page():
    assert all(rule.__doc__ for rule in RULES)


def test_keys_of_every_depth_are_on_the_page():
    page = settings_reference.page()
    for heading in ("## `airflow:cluster`", "## `airflow:workerPools.<name>`", "### `airflow:network.existing`"):
        assert f"\n{heading}\n" in page
    for key in ("`aws:defaultTags.tags`", "`maxAllocatedStorageGib`", "`privateSubnetIds`"):
        assert f"\n| {key} |" in page
