from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine.stack_config import PLACEHOLDER_ACCOUNT, StackFileError, read_stack_config, stack_config


def project(root: Path, stack_file: str, project_file: str = "name: airflow\n") -> Path:
    (root / "Pulumi.yaml").write_text(project_file)
    (root / "Pulumi.test.yaml").write_text(stack_file)
    return root


def test_values_are_those_that_the_cli_passes(tmp_path: Path):
    config = read_stack_config(
        project(tmp_path, "config: {aws:region: eu-west-1, airflow:n: 3, flag: true, airflow:s: {a: [1]}}"), "test"
    )
    assert config.values == {
        "aws:region": "eu-west-1",
        "airflow:n": "3",
        "airflow:flag": "true",
        "airflow:s": '{"a": [1]}',
    }
    assert config.project == "airflow"


def test_defaults_of_the_project_file_are_merged_as_by_the_cli(tmp_path: Path):
    declared = "name: airflow\nconfig: {size: {type: integer, default: 2}, aws:region: {value: eu-north-1}, name: {}}\n"
    values = read_stack_config(project(tmp_path, "config: {airflow:size: 5}", declared), "test").values
    assert values["airflow:size"] == "5"
    assert values["aws:region"] == "eu-north-1"
    assert "airflow:name" not in values, "a key that is only declared has no value"


def test_region_account_and_default_tags_are_read():
    config = stack_config(
        "airflow",
        {"aws:region": "eu-west-1", "aws:allowedAccountIds": ["1"], "aws:defaultTags": {"tags": {"Project": "x"}}},
    )
    assert (config.region, config.account_id, config.default_tags) == ("eu-west-1", "1", {"Project": "x"})
    assert stack_config("airflow", {}).account_id == PLACEHOLDER_ACCOUNT
    assert stack_config("airflow", {}).default_tags == {}


@pytest.mark.parametrize("written", ["'011122223333'", "011122223333", "prod", "2024-01-01", "{secure: AAAA}", "5"])
def test_account_ids_and_tags_of_another_type_are_left_for_the_settings_to_report(tmp_path: Path, written: str):
    text = f"config:\n  aws:allowedAccountIds: {written}\n  aws:defaultTags: {written}\n"
    config = read_stack_config(project(tmp_path, text), "test")
    assert (config.account_id, config.default_tags) == (PLACEHOLDER_ACCOUNT, {})


def test_default_tags_that_are_not_a_map_are_left_for_the_settings_to_report():
    assert stack_config("airflow", {"aws:defaultTags": {"tags": "prod"}}).default_tags == {}


def test_an_encrypted_value_becomes_a_placeholder_and_stays_secret(tmp_path: Path):
    root = project(tmp_path, "config: {airflow:token: {secure: v1:abc}, airflow:section: {deep: [{secure: v1:abc}]}}")
    config = read_stack_config(root, "test")
    assert config.values["airflow:token"] == "[secret]"
    assert json.loads(config.values["airflow:section"]) == {"deep": ["[secret]"]}
    assert config.secret_keys == {"airflow:token", "airflow:section"}


@pytest.mark.parametrize(
    ("stack_file", "message"),
    [
        ("config: [1]", "`config` is a list; a mapping of keys"),
        ("config: {1: 2}", "1 is not a key; write it like airflow:cluster"),
        ("- a", "contains a list; a mapping of keys to values is needed"),
        ("config: {a", "is not valid YAML"),
        ("", "contains nothing; a mapping"),
    ],
)
def test_an_invalid_stack_file_is_refused_with_the_reason(tmp_path: Path, stack_file: str, message: str):
    with pytest.raises(StackFileError, match=message):
        read_stack_config(project(tmp_path, stack_file), "test")


def test_a_tab_is_reported_with_its_line(tmp_path: Path):
    with pytest.raises(StackFileError, match=r"Pulumi\.test\.yaml, line 3: there is a tab.* Replace it with spaces"):
        read_stack_config(project(tmp_path, "config:\n  airflow:masters:\n\tcount: 2\n"), "test")


@pytest.mark.parametrize(
    ("stack_file", "message"),
    [
        ("config:\n  a: 1\n  b: 2\n  a: 1\n", "config.a, in line 4 and in line 2. Keep one of each."),
        ("config:\n  airflow:masters:\n    count: 1\n    count: 2\n", "config.airflow:masters.count, in line 4"),
        ("config: {}\nconfig: {}\n", "has the same key twice: config, in line 2"),
        ("config:\n  a: [{b: 1, b: 1}]\n", "config.a[0].b, in line 2"),
    ],
)
def test_a_repeated_key_is_reported_with_its_lines(tmp_path: Path, stack_file: str, message: str):
    with pytest.raises(StackFileError, match=re.escape(message)):
        read_stack_config(project(tmp_path, stack_file), "test")


def test_equal_keys_of_two_sections_and_aliases_are_not_repeated_keys(tmp_path: Path):
    root = project(tmp_path, "config:\n  a: &pool {x: 1}\n  b: *pool\n  c: {x: 1, '1': 1, 1: 1}\n")
    assert read_stack_config(root, "test").values["airflow:b"] == '{"x": 1}'


def test_a_key_that_overrides_a_merged_one_is_not_a_repeated_key(tmp_path: Path):
    root = project(tmp_path, "config:\n  a: &pool {x: 1, y: 2}\n  b: {<<: *pool, x: 3}\n")
    assert json.loads(read_stack_config(root, "test").values["airflow:b"]) == {"x": 3, "y": 2}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("!!int abc", "line 2, column 6"),
        ("!!float abc", "line 2, column 6"),
        ("!!float .inf", "line 2, column 6"),
        ("!!bool abc", "line 2, column 6"),
        ("!!timestamp abc", "line 2, column 6"),
        (f"!!int {'9' * 5000}", "999 cannot be read as int"),
        ("{!!binary YWJj: 1}", "keys must be"),
        ("&a {core: *a}", "an alias is inside its own anchor"),
        ("[" * 400 + "]" * 400, "nested too deeply"),
    ],
)
def test_a_value_that_cannot_be_read_makes_the_file_invalid(tmp_path: Path, written: str, message: str):
    with pytest.raises(StackFileError, match=r"Pulumi\.test\.yaml is not valid") as refusal:
        read_stack_config(project(tmp_path, f"config:\n  a: {written}\n"), "test")
    assert message in str(refusal.value)
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "Yes", "NO"])
def test_a_word_that_the_cli_reads_as_a_string_is_a_string(tmp_path: Path, word: str):
    config = read_stack_config(project(tmp_path, f"config: {{airflow:database: {{multiAz: {word}}}}}"), "test")
    assert config.values["airflow:database"] == f'{{"multiAz": "{word}"}}'


def test_true_and_false_are_booleans(tmp_path: Path):
    config = read_stack_config(project(tmp_path, "config: {a: [true, False, t, truest]}"), "test")
    assert config.values["airflow:a"] == '[true, false, "t", "truest"]'


def test_a_stack_file_without_config_has_no_values(tmp_path: Path):
    assert read_stack_config(project(tmp_path, "encryptionsalt: v1:x"), "test").values == {}


def test_a_folder_without_a_project_is_refused(tmp_path: Path):
    with pytest.raises(StackFileError, match=r"There is no Pulumi\.yaml in"):
        read_stack_config(tmp_path, "test")


def test_a_project_without_a_name_is_refused(tmp_path: Path):
    with pytest.raises(StackFileError, match="has no `name` for the project"):
        read_stack_config(project(tmp_path, "config: {}", "runtime: python"), "test")


def test_the_error_for_a_missing_stack_file_lists_the_existing_ones(tmp_path: Path):
    with pytest.raises(StackFileError, match=r"There is no Pulumi\.prod\.yaml .* Stacks with a file: test\."):
        read_stack_config(project(tmp_path, "config: {}"), "prod")
    with pytest.raises(StackFileError, match=r"There is no Pulumi\.acme/prod\.yaml "):
        read_stack_config(project(tmp_path, "config: {}"), "acme/prod")
    (tmp_path / "Pulumi.test.yaml").unlink()
    with pytest.raises(StackFileError, match="No stack has a file there"):
        read_stack_config(tmp_path, "prod")
