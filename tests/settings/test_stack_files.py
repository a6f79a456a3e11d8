"""The stack files of the repository are valid."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from engine.stack_config import read_stack_config
from settings import Settings, schema
from settings.sections.database import budget
from tests.stack_file import ROOT, STACKS, changed, content, load


def test_the_stack_files_that_the_readme_names_exist():
    assert {"dev", "prod"} <= set(STACKS)


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_file_is_accepted(stack: str):
    load(content(stack))


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_file_sets_no_key_that_is_not_read(stack: str):
    sections = {schema.key_of((key,)) for key in schema.fields_by_key(Settings)} - set(schema.PROVIDER_KEYS.values())
    of_the_provider = {"aws:region", "aws:allowedAccountIds", "aws:defaultTags"}
    assert set(content(stack)) <= sections | of_the_provider


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_can_only_be_built_in_its_own_account(stack: str):
    settings = load(content(stack))
    assert settings.allowed_account_ids == (settings.cluster.account_id,)


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_file_sets_tags(stack: str):
    assert load(content(stack)).tags == {"Project": "airflow", "Environment": stack}


@pytest.mark.parametrize(
    "written",
    [
        {"encryptionsalt": f"v1:{'a' * 12}:v1:{'b' * 16}:{'c' * 48}"},
        {"secretsprovider": "awskms://alias/airflow?region=eu-west-1", "encryptedkey": "A" * 248},
    ],
    ids=["passphrase", "kms"],
)
def test_what_pulumi_stack_init_writes_into_a_stack_file_passes_the_checks(tmp_path: Path, written: dict[str, str]):
    lines = "".join(f"{key}: {value}\n" for key, value in written.items())
    (tmp_path / "Pulumi.prod.yaml").write_text((ROOT / "Pulumi.prod.yaml").read_text() + lines)
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    assert read_stack_config(tmp_path, "prod") == read_stack_config(ROOT, "prod")
    lint = ["yamllint", "--strict", "--config-file", ROOT / ".yamllint.yaml", "--format", "parsable", tmp_path]
    assert subprocess.run([sys.executable, "-m", *lint], capture_output=True, text=True, check=False).stdout == ""


def test_no_two_stacks_share_a_name_or_an_address():
    loaded = [load(content(stack)) for stack in STACKS]
    assert len({settings.cluster.name for settings in loaded}) == len(STACKS), "bucket names are unique worldwide"
    assert len({settings.network.vpc_cidrs for settings in loaded}) == len(STACKS), "peered networks must not overlap"


@pytest.mark.parametrize("stack", STACKS)
def test_the_connections_in_the_comments_of_a_stack_file_are_right(stack: str):
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text()
    stated = re.findall(r"([\d,]+) connections, of which this cluster needs ([\d,]+)", text)
    settings = load(content(stack))
    assert stated == [
        (
            str(settings.database.max_connections),
            str(budget(settings.masters, settings.worker_pools, settings.config).total),
        )
    ]


def test_the_task_slots_in_the_comments_of_the_prod_file_are_right():
    stated = re.search(r"Tasks at a time: (.*)\.", (ROOT / "Pulumi.prod.yaml").read_text())
    sums = [
        f"{pool.max_size} x {pool.task_slots} = {pool.max_size * pool.task_slots} in {name}"
        for name, pool in load(content("prod")).worker_pools.items()
    ]
    assert stated is not None
    assert stated[1] == ", ".join(sums)


def test_the_prod_stack_survives_the_loss_of_a_zone():
    settings = load(content("prod"))
    assert len(settings.network.zones) >= 3
    assert settings.network.nat_gateways == "perZone"
    assert settings.database.multi_az
    assert settings.broker.replicas >= 1
    assert settings.masters.count >= 2
    assert settings.cluster.protect_data, "a typo must not delete the production database"


def test_the_dev_stack_has_one_of_everything():
    settings = load(content("dev"))
    assert (settings.masters.count, len(settings.worker_pools), settings.broker.replicas) == (1, 1, 0)
    assert settings.network.nat_gateways == "single"
    assert not settings.database.multi_az
    assert not settings.cluster.protect_data, "a stack for trying things out can be deleted"


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_may_be_moved_to_another_region(stack: str):
    """Only the region and the zones in a stack file depend on the region."""
    load(changed({"aws:region": "us-east-1", "airflow:network.zones": ["us-east-1a", "us-east-1b"]}, stack=stack))


def test_the_project_file_leaves_faults_to_the_program():
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert "config" not in project, "the CLI would stop at the first missing key and hide the other faults"
