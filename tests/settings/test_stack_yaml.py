"""YAML scalars are read as the Pulumi CLI's own loader reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.stack_config import read_stack_config
from settings.stack_yaml import StackFile, Unclear, is_unclear

# LoadProjectStack of github.com/pulumi/pulumi/sdk/v3 (v3.210.0, with yaml.v3 3.0.1) on `config: {airflow:s: {v: ...}}`,
# the value as it reaches a program.
READ_BY_PULUMI = {
    "052812345678": 52812345678,
    "012345670123": 1402433619,
    "0123": 83,
    "-017": -15,
    "+017": 15,
    "00": 0,
    "08": 8,
    "09.5": 9.5,
    "0_7": 7,
    "0o17": 15,
    "-0o17": -15,
    "0O17": 15,
    "0o1_7": 15,
    "0b101": 5,
    "0B101": 5,
    "0x1F": 31,
    "0X1f": 31,
    "1_000": 1000,
    "1_": 1,
    "1_000.5": 1000.5,
    "1e3": 1000,
    "1E3": 1000,
    "1e+3": 1000,
    "1.5e3": 1500,
    "1e_3": 1000,
    "6.8523015e+5": 685230.15,
    ".5": 0.5,
    "+.5": 0.5,
    "5.": 5,
    "+5": 5,
    "2026-11-26": "2026-11-26 00:00:00 +0000 UTC",
    "2026-1-2": "2026-01-02 00:00:00 +0000 UTC",
    "2026-11-26 10:00:00": "2026-11-26 10:00:00 +0000 UTC",
    "2026-11-26T10:00:00Z": "2026-11-26 10:00:00 +0000 UTC",
    "2026-11-26T10:00:00.50+02:00": "2026-11-26 10:00:00.5 +0200 +0200",
    "2024-01-01 to 2024-12-31": "2024-01-01 to 2024-12-31",
    "2024-13-45": "2024-13-45",
    "2026-11-26 10:00": "2026-11-26 10:00",
    "2026-11-26 10:00:00 Z": "2026-11-26 10:00:00 Z",
    "2026-11-26T10:00:00": "2026-11-26T10:00:00",
    "0xFFFFFFFFFFFFFFFFF": "0xFFFFFFFFFFFFFFFFF",
    "1e999": "1e999",
    "0": 0,
    "17": 17,
    "-12": -12,
    "0.1": 0.1,
    "17.10": 17.1,
    "1.0": 1,
    "00.5": 0.5,
    "99999999999999999999": 100000000000000000000,
    "true": True,
    "True": True,
    "FALSE": False,
    "tRUE": "tRUE",
    "~": None,
    "null": None,
    "nULL": "nULL",
    "yes": "yes",
    "off": "off",
    "y": "y",
    "12:30:45": "12:30:45",
    "12:30": "12:30",
    "1:30.5": "1:30.5",
    "190:20:30": "190:20:30",
    "_1": "_1",
    "0x": "0x",
    "0b102": "0b102",
    "0o18": "0o18",
    "0x1p4": "0x1p4",
    "1.2.3": "1.2.3",
    "10.80.0.0/16": "10.80.0.0/16",
    "1,000": "1,000",
    "inf": "inf",
    "NaN": "NaN",
    "1\u0662": "1\u0662",
    "..": "..",
    "=": "=",
}
UNCLEAR = {text for text in READ_BY_PULUMI if is_unclear(text)}


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str) -> object:
        (tmp_path / "Pulumi.yaml").write_text("name: airflow\n")
        (tmp_path / "Pulumi.x.yaml").write_text(f"config:\n  airflow:s:\n    v: {text}\n")
        return json.loads(read_stack_config(tmp_path, "x").values["airflow:s"])["v"]

    return read


@pytest.mark.parametrize("text", sorted(READ_BY_PULUMI))
def test_a_scalar_is_read_as_pulumi_reads_it(text: str, read):
    value = read(text)
    assert value == READ_BY_PULUMI[text]
    assert type(value) is type(READ_BY_PULUMI[text])


@pytest.mark.parametrize("text", sorted(UNCLEAR))
def test_an_unclear_scalar_holds_the_number_that_pulumi_reads(text: str):
    expected = READ_BY_PULUMI[text]
    assert Unclear(text, 1).number == (None if isinstance(expected, str) else expected)


def test_only_a_number_that_is_printed_as_it_is_written_is_clear():
    changed = {
        text
        for text, value in READ_BY_PULUMI.items()
        if not isinstance(value, bool | None) and text != (value if isinstance(value, str) else json.dumps(value))
    }
    assert changed - UNCLEAR == {"17.10", "1.0"}, "the file must show the value that the cluster gets"
    assert changed >= UNCLEAR


def test_a_number_of_64_bits_is_read_exactly():
    assert Unclear("1_402_433_619_111_222_333", 1).number == 1402433619111222333


@pytest.mark.parametrize("text", ["9" * 400, "0x" + "f" * 5000])
def test_a_number_too_large_for_go_is_a_string(text: str, read):
    assert not is_unclear(text)
    assert read(text) == text


@pytest.mark.parametrize("text", [".inf", "-.Inf", ".nan"])
def test_infinity_and_nan_are_unclear(text: str):
    assert is_unclear(text), "the CLI itself ends with an error"
    assert Unclear(text, 1).number is None


def test_a_key_without_a_namespace_belongs_to_the_project(tmp_path: Path):
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text("config:\n  s: {d: 012}\n")
    assert StackFile(path, "airflow").marked("airflow:s", {"d": 10}) == {"d": Unclear("012", 2)}


def test_quotes_make_any_scalar_clear(tmp_path: Path):
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text("config:\n  airflow:s: {a: '012', b: \"1e3\", c: [012, 5], d: 012}\n")
    given = {"a": "012", "b": "1e3", "c": [10, 5], "d": 10}
    assert StackFile(path, "airflow").marked("airflow:s", given) == {
        "a": "012",
        "b": "1e3",
        "c": [Unclear("012", 2), 5],
        "d": Unclear("012", 2),
    }


def test_an_unclear_key_keeps_the_name_that_is_written(tmp_path: Path):
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text("config:\n  airflow:s:\n    012: a\n    b: c\n")
    marked = {"012": Unclear("012", 3, is_key=True), "b": "c"}
    assert StackFile(path, "airflow").marked("airflow:s", {"10": "a", "b": "c"}) == marked


@pytest.mark.parametrize("other", [{"d": 3, "e": "012"}, {"d": "012", "e": 5}, {"11": 1}, {"f": "2024-01-01"}])
def test_a_value_that_comes_from_another_file_is_unchanged(tmp_path: Path, other: dict[str, object]):
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text("config:\n  airflow:s: {d: 012, e: 1e3, 012: 1, f: 2024-01-01}\n")
    assert StackFile(path, "airflow").marked("airflow:s", other) == other


def test_a_number_that_is_tagged_as_a_string_is_a_string(read):
    assert read("!!str 0123") == "0123"


def test_merged_keys_are_marked_unless_their_mapping_has_its_own(tmp_path: Path):
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text("config:\n  airflow:s:\n    <<: [{a: 010, b: 010}, {a: 020, c: 020}]\n    b: 1\n")
    marked = StackFile(path, "airflow").marked("airflow:s", {"a": 8, "b": 1, "c": 16})
    assert marked == {"a": Unclear("010", 3), "b": 1, "c": Unclear("020", 3)}


@pytest.mark.parametrize("written", ["&a {core: *a}", "&a {<<: *a}", "&a [*a]", "{<<: 5}"])
def test_a_file_that_pulumi_refuses_marks_nothing(tmp_path: Path, written: str):
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text(f"config:\n  airflow:s: {written}\n")
    file = StackFile(path, "airflow")
    assert file.marked("airflow:s", {"core": 1}) == {"core": 1}
    assert file.encrypted("airflow:s") == ()


def test_encrypted_values_are_found_at_any_depth(tmp_path: Path):
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text("config:\n  airflow:s: {a: {secure: x}, b: [1, {secure: y}], c: 1}\n  airflow:t: {secure: z}\n")
    file = StackFile(path, "airflow")
    assert file.encrypted("airflow:s") == (("a",), ("b", 1))
    assert file.encrypted("airflow:t") == ((),)
    assert file.encrypted("airflow:u") == ()


@pytest.mark.parametrize("text", [None, "", "a: [", "config: 5\n", "- 1\n"])
def test_without_a_readable_file_nothing_is_marked(tmp_path: Path, text: str | None):
    path = tmp_path / "Pulumi.x.yaml"
    if text is not None:
        path.write_text(text)
    assert StackFile(path, "airflow").marked("airflow:s", {"v": 10}) == {"v": 10}
