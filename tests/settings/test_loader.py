"""Faults in the text of a stack file, as the plan and the Pulumi CLI show them."""

from __future__ import annotations

import json
from pathlib import Path

import pulumi
import pytest

from engine.program import run_program
from settings.errors import Fault, SettingsError
from tests.stack_file import ROOT, content, load


@pytest.fixture
def run(tmp_path: Path):
    """Runs the plan of the prod stack's file after text in it was replaced."""
    tools = {"bench", "docs", "engine", "lab", "plan", "tests"}
    for entry in ROOT.iterdir():
        if not entry.name.startswith((".", "Pulumi.")) and entry.name not in tools:
            (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / "Pulumi.yaml").symlink_to(ROOT / "Pulumi.yaml")

    def run(*replaced: tuple[str, str]) -> object:
        text = (ROOT / "Pulumi.prod.yaml").read_text()
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "Pulumi.x.yaml").write_text(text)
        return run_program("x", root=tmp_path)

    return run


@pytest.fixture
def faults(run):
    """The faults that the plan finds after text in the prod stack's file was replaced."""

    def faults(*replaced: tuple[str, str]) -> tuple[Fault, ...]:
        with pytest.raises(pulumi.RunError) as refusal:  # the SettingsError of the copy is another class than ours
            run(*replaced)
        return refusal.value.faults  # ty: ignore[missing-attribute]

    return faults


@pytest.mark.parametrize("account", ["052812345678", "012345670123", "0o17", "1_111_2222_3333"])
def test_an_account_id_without_quotes_is_shown_as_it_is_written(account: str, faults):
    of_cluster, of_provider = faults(('"111122223333"', account))[:2][::-1]
    for fault in (of_cluster, of_provider):
        assert fault.given.startswith(f"{account} without quotes, on line ")
        assert fault.remedy == f'put it in quotes: "{account}"'
        assert "1402433619" not in str(fault), "a number that is not in the file"
    assert of_provider.key == "aws:allowedAccountIds[0]"
    assert of_cluster.key == "airflow:cluster.accountId"


@pytest.mark.parametrize(("written", "read"), [("0123", "83"), ("1e3", "1000"), ("0x10", "16"), ("1_0", "10")])
def test_the_fault_for_a_number_that_pulumi_reads_as_another_one_shows_both(written: str, read: str, faults):
    (fault,) = faults(("maxSize: 8", f"maxSize: {written}"))
    assert fault.key == "airflow:workerPools.default.maxSize"
    assert fault.given.startswith(f"{written} on line ")
    assert fault.given.endswith(f"which Pulumi reads as {read}")
    assert fault.remedy == f"write the number in plain decimal digits: {read}, if that is what you mean"


@pytest.mark.parametrize("written", ["2026-11-26", "0123", "1e3"])
def test_the_remedy_for_an_unclear_option_is_to_put_it_in_quotes(written: str, faults):
    (fault,) = faults(("airflow:web:", f"airflow:config:\n    core:\n      parallelism: {written}\n  airflow:web:"))
    assert fault.key == "airflow:config.core.parallelism"
    assert fault.remedy == "put it in quotes"
    assert written not in str(fault), "it may be a password put there by mistake"


_TOO_LARGE = {"99999999999999999999": "lower it to at most 10", "0xFFFF": "lower it to at most 10"}
_NO_NUMBER = dict.fromkeys(["2024-01-01", ".inf", "-.inf", ".nan", "0x" + "f" * 5000], "write digits only")


@pytest.mark.parametrize(
    ("written", "remedy"), (_TOO_LARGE | _NO_NUMBER | {"9" * 400: "lower it to at most 10"}).items()
)
def test_the_remedy_for_a_whole_number_far_out_of_range_is_that_of_its_range(written: str, remedy: str, faults):
    (fault,) = faults(("count: 2", f"count: {written}"))
    assert fault.key == "airflow:masters.count"
    assert fault.allowed == "a whole number from 1 to 10 (nodes)"
    assert remedy in fault.remedy
    assert "in quotes" not in fault.remedy
    assert "without quotes, on line" not in fault.given, "quotes would not help"
    assert len(str(fault)) < 400


@pytest.mark.parametrize("written", ["99999999999999999999", "2024-01-01", ".inf", "9" * 400])
def test_the_remedy_for_an_amount_far_out_of_range_does_not_repeat_it(written: str, faults):
    (fault,) = faults(("concurrency: 16", f"taskMemoryGib: {written}"))
    assert "in quotes" not in fault.remedy
    assert fault.remedy.startswith(("lower it to at most 1,536", "write digits"))
    assert len(str(fault)) < 400


def test_a_fraction_for_a_whole_number_is_rounded_up_in_the_remedy(faults):
    (fault,) = faults(("count: 2", "count: +2.5"))
    assert fault.remedy == "write 3, without quotes"


def test_the_remedy_for_a_value_of_another_type_is_not_to_put_it_in_quotes(faults):
    (fault,) = faults(("multiAz: true", "multiAz: 010"))
    assert fault.remedy == "write true or false, without quotes"


@pytest.mark.parametrize("written", ["2.0", "17.10", "1.50"])
def test_the_remedy_for_a_version_as_a_tag_keeps_its_zeros(written: str, faults):
    (fault,) = faults(("Project: airflow", f"Version: {written}"))
    assert fault.key == "aws:defaultTags.tags.Version"
    assert fault.given == written
    assert fault.remedy == f'put it in quotes: "{written}"'


def test_a_number_with_only_zeros_after_its_dot_is_accepted(run):
    assert run(("count: 2", "count: 2.0"), ("concurrency: 16", "taskMemoryGib: 1.50"))


def test_the_fault_for_an_unknown_key_does_not_show_a_number_either(faults):
    (fault,) = faults(("count: 2", "count: 2\n    password: 0123"))
    assert (fault.key, fault.given) == ("airflow:masters.password", "a key that does not exist")


def test_the_fault_for_an_unquoted_tag_shows_it_as_it_is_written(faults):
    (fault,) = faults(("Project: airflow", "0123: airflow"))
    assert fault.key == "aws:defaultTags.tags.0123"
    assert fault.remedy == 'put it in quotes: "0123"'


def test_a_missing_config_line_is_one_fault(faults):
    (fault,) = faults(("config:\n", ""))
    assert fault.key == "config:"
    assert "add the line `config:`" in fault.remedy


def test_an_encrypted_value_is_one_fault_with_the_commands_to_run(faults):
    (fault,) = faults(('engineVersion: "17"', "engineVersion: {secure: v1:abc}"))
    assert fault.key == "airflow:database.engineVersion"
    assert fault.given == "an encrypted value"
    assert fault.remedy == (
        "run `pulumi config set --path --plaintext --type string 'airflow:database.engineVersion' <value>`; if the "
        "value is a secret, remove it from the stack file: `pulumi config rm --path 'airflow:database.engineVersion'`"
    )


def test_every_encrypted_value_is_named(faults):
    found = faults(("count: 2", "count: {secure: a}"), ("rootVolumeGib: 30", "rootVolumeGib: {secure: b}"))
    assert [fault.key for fault in found] == ["airflow:masters.count", "airflow:masters.rootVolumeGib"]
    assert "--type string" not in found[0].remedy, "the CLI stores digits as a number without `--type`"


def test_an_encrypted_tag_is_named(faults):
    (fault,) = faults(("Project: airflow", "Project: {secure: a}"))
    assert fault.key == "aws:defaultTags.tags.Project"


def test_the_stack_file_in_the_programs_directory_is_read_under_the_pulumi_cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = content()
    config["airflow:cluster"]["accountId"] = 1402433619
    text = (ROOT / "Pulumi.prod.yaml").read_text().replace('accountId: "111122223333"', "accountId: 012345670123")
    (tmp_path / "Pulumi.stack.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps({k: json.dumps(v) for k, v in config.items()}))
    with pytest.raises(SettingsError) as refusal:
        load({})
    assert [fault.remedy for fault in refusal.value.faults] == ['put it in quotes: "012345670123"']
