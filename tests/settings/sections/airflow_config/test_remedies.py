"""Following the remedy for an option leads to a stack file that is accepted, or to a fault that says more."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from node.airflow_options import lookup
from node.environment import LOCKED_OPTIONS
from settings.errors import Fault
from settings.sections.airflow_config import refusals
from tests.stack_file import faults_of

_REGISTRY = json.loads(lookup.REGISTRY.read_text())
_TYPED = sorted(
    (section, option)
    for section, options in _REGISTRY["options"].items()
    for option in options
    if refusals.refusal(section, option) is None
    and (lookup.kind(section, option) != "string" or lookup.choices(section, option))
)
# For each type, a value that follows the remedy.
_READABLE = {
    "boolean": "true",
    "integer": "1",
    "seconds": "1",
    "number": "1",
    "json": "{}",
    "import": "module.name",
    "string": "",
}
_WRITE_AS = re.compile(r"write it as (?P<section>[a-z0-9_.]+)\.(?P<option>[a-z0-9_]+), its current name")
_MEANT = re.compile(r"did you mean (?P<section>[a-z0-9_.]+)\.(?P<option>[a-z0-9_]+)\?")
_TAKE_OUT = re.compile(r"(it is now called [a-z0-9_.]+: |if [a-z0-9_.]+ was meant: )?(remove it|leave it out|set )")


def _faults(options: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Fault]:
    """The faults of a stack file with these options, by option."""
    config: dict[str, dict[str, Any]] = {}
    for (section, option), value in options.items():
        config.setdefault(section, {})[option] = value
    found = {fault.key: fault for fault in faults_of({"airflow:config": config})}
    return {pair: found[key] for pair in options if (key := f"airflow:config.{'.'.join(pair)}") in found}


def test_the_remedy_for_an_old_name_is_an_accepted_option_or_what_replaces_it():
    old = dict.fromkeys((tuple(name.rsplit(".", 1)) for name in _REGISTRY["former"]), "1")
    faults = _faults(old)
    assert set(faults) == set(old), "each of them is a fault"
    for pair, fault in faults.items():
        written = _WRITE_AS.match(fault.remedy)
        if written:
            assert refusals.refusal(written["section"], written["option"]) is None, pair
            assert lookup.exists(written["section"], written["option"]), pair
        else:
            assert _TAKE_OUT.match(fault.remedy), f"{pair}: {fault.remedy}"


def test_the_remedy_for_a_misspelt_option_is_one_that_can_be_set():
    misspelt = {(section, f"{option}x"): "1" for section, option in _TYPED}
    for pair, fault in _faults(misspelt).items():
        meant = _MEANT.match(fault.remedy)
        assert meant or _TAKE_OUT.match(fault.remedy), f"{pair}: {fault.remedy}"
        if meant:
            assert refusals.refusal(meant["section"], meant["option"]) is None, f"{pair}: {fault.remedy}"


def test_the_remedy_for_an_option_that_is_always_refused_is_to_leave_it_out():
    pairs = sorted((section, option) for section, options in _REGISTRY["options"].items() for option in options)
    refused = {pair: "x" for pair in pairs if refusals.refusal(*pair) is not None}
    assert set(refused) >= LOCKED_OPTIONS
    for pair, fault in _faults(refused).items():
        assert _TAKE_OUT.match(fault.remedy), f"{pair}: {fault.remedy}"
    assert set(_faults(refused)) == set(refused)


def test_a_value_of_the_type_in_the_remedy_is_accepted():
    faults = _faults(dict.fromkeys(_TYPED, "no such value"))
    assert set(faults) == set(_TYPED), "of every option with a type or a choice"
    followed = {}
    for pair in faults:
        choices = lookup.choices(*pair)
        followed[pair] = choices[0] if choices else _READABLE[lookup.kind(*pair)]
    assert _faults(followed) == {}


@pytest.mark.parametrize(
    ("option", "given", "followed"),
    [
        ("logging.logging_level", "debug", "DEBUG"),
        ("core.load_examples", "off", False),
        ("core.default_timezone", "Europe/Berln", "Europe/Berlin"),
        ("logging.log_format", "[%%(asctime)s] %%(message)s", "[%(asctime)s] %(message)s"),
        ("celery_broker_transport_options.visibility_timeout", 3600, 24 * 3600),
        ("database.sql_alchemy_pool_size", -1, 1),
        ("secrets.backend_kwargs", "prefix=airflow", '{"connections_lookup_pattern": "aws_"}'),
        ("secrets.backend_kwargs", '{"cache_seconds": "60"}', '{"cache_seconds": 60}'),
        ("secrets.backend_kwargs", '{"connections_prefix": "airflow/connections"}', ""),
    ],
)
def test_a_value_that_follows_the_remedy_is_accepted(option: str, given: object, followed: object):
    section, _, name = option.partition(".")
    assert len(_faults({(section, name): given})) == 1
    assert _faults({(section, name): followed}) == {}
