"""What is read from the names of instance types, against the list of types that moto took from EC2."""

from __future__ import annotations

import gzip
import json
from importlib import resources
from typing import Any

import pytest

from aws_facts import instance_types


def _types() -> dict[str, dict[str, Any]]:
    listed = resources.files("moto.ec2") / "resources/instance_types.json.gz"
    return json.loads(gzip.decompress(listed.read_bytes()))


def test_every_type_that_runs_linux_has_its_architecture_read_from_its_name():
    for name, facts in _types().items():
        kinds = facts["ProcessorInfo"]["SupportedArchitectures"]
        if instance_types.is_well_formed(name):
            right = "arm64" if "arm64" in kinds else "amd64"
            assert instance_types.architecture(name) == right, f"{name} would boot an image that it cannot run"


def test_only_apple_hardware_and_the_oldest_memory_giants_are_not_well_formed():
    refused = {name.split(".")[0] for name in _types() if not instance_types.is_well_formed(name)}
    assert {family for family in refused if not family.startswith("mac")} == {"u-3tb1", "u-6tb1"}


def test_memory_is_never_taken_for_more_than_it_is():
    known = 0
    for name, facts in _types().items():
        memory = instance_types.memory_gib(name)
        if memory is not None:
            known += 1
            assert memory <= facts["MemoryInfo"]["SizeInMiB"] / 1024, name
    assert known > 500, "most types of the c, m, r and t families are known"


@pytest.mark.parametrize(
    ("name", "memory"),
    [
        ("t3.nano", 0.5),
        ("t4g.medium", 4),
        ("m7i.large", 8),
        ("r7i.2xlarge", 64),
        ("c8g.medium", 2),
        ("g5.xlarge", None),
    ],
)
def test_memory_of_common_types(name: str, memory: float | None):
    assert instance_types.memory_gib(name) == memory


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("a1.large", "arm64"), ("m99gd.large", "arm64"), ("g5.xlarge", "amd64"), ("g5g.xlarge", "arm64")],
)
def test_a_g_counts_behind_the_generation_only(name: str, architecture: str):
    assert instance_types.architecture(name) == architecture


def test_what_is_no_instance_type_has_no_architecture():
    with pytest.raises(ValueError, match="'large' is not the name"):
        instance_types.architecture("large")
