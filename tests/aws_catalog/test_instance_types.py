"""Which instance types exist, and what follows from their names, compared with botocore's model and moto's list."""

from __future__ import annotations

import gzip
import json
from importlib import resources
from typing import Any

import botocore.session
import pytest

from aws_catalog import instance_types


def _types() -> dict[str, dict[str, Any]]:
    listed = resources.files("moto.ec2") / "resources/instance_types.json.gz"
    return json.loads(gzip.decompress(listed.read_bytes()))


def _of_ec2() -> set[str]:
    """Every type of EC2's API, as botocore describes it."""
    return set(botocore.session.get_session().get_service_model("ec2").shape_for("InstanceType").enum)


def test_exactly_the_types_of_ec2_exist_except_for_macs():
    with_linux = {name for name in _of_ec2() if not name.startswith("mac")}
    assert {name for name in with_linux if not instance_types.exists(name)} == set(), "`make instance-types` adds them"
    assert instance_types.all_types() == with_linux, "`make instance-types` removes types that EC2 no longer has"


@pytest.mark.parametrize("name", ["g5.large", "m9z.large", "m7i.64xlarge", "mac2.metal", "large", "m7i", ""])
def test_a_type_that_ec2_does_not_have_does_not_exist(name: str):
    assert not instance_types.exists(name)


def test_every_type_that_runs_linux_has_its_architecture_read_from_its_name():
    for name, facts in _types().items():
        kinds = facts["ProcessorInfo"]["SupportedArchitectures"]
        if instance_types.exists(name):
            right = "arm64" if "arm64" in kinds else "amd64"
            assert instance_types.architecture(name) == right, f"{name} would boot an image for another architecture"


def test_the_series_decides_whether_a_type_needs_a_driver():
    devices = ("GpuInfo", "NeuronInfo", "InferenceAcceleratorInfo", "FpgaInfo", "MediaAcceleratorInfo")
    expected = {name: any(facts.get(device) for device in devices) for name, facts in _types().items()}
    wrong = {
        name
        for name in expected
        if instance_types.exists(name) and instance_types.needs_a_driver(name) != expected[name]
    }
    assert wrong == {"trn2u.48xlarge"}, "Trainium like the others of its series, although the list omits it"


def test_memory_is_never_overestimated():
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
    [
        ("a1.large", "arm64"),
        ("m99gd.large", "arm64"),
        ("g5.xlarge", "amd64"),
        ("g5g.xlarge", "arm64"),
        ("p6e-gb200.36xlarge", "arm64"),  # NVIDIA's Grace; its name has no g where Graviton's have it
        ("u7i-12tb.224xlarge", "amd64"),
        ("u-6tb1.metal", "amd64"),
        ("hpc7g.4xlarge", "arm64"),
    ],
)
def test_only_a_g_after_the_generation_means_graviton(name: str, architecture: str):
    assert instance_types.architecture(name) == architecture


def test_a_name_that_is_not_an_instance_type_has_no_architecture():
    with pytest.raises(ValueError, match="'large' is not the name"):
        instance_types.architecture("large")
