"""EC2 instance types, and what follows from their names: architecture, accelerators and, in common families, memory."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

Architecture = Literal["amd64", "arm64"]

TABLE = Path(__file__).with_suffix(".txt")
"""One line for each family: its name and its sizes. Written by `make instance-types`."""

# https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html:
# series, generation, processor and capability letters, optional suffix such as -flex, a dot, the size.
_NAME = re.compile(
    r"(?P<series>[a-z]+(?:-\d+tb)?)(?P<generation>\d+)(?P<attributes>[a-z]*)(?:-[a-z0-9]+)*"
    r"\.(?P<size>[a-z]+|\d+xlarge|metal-\d+xl)"
)
# Arm processors without Graviton's `g` in the name: the first generation of Graviton, and NVIDIA's Grace.
_OTHER_ARM = ("a1.", "p6e-gb")
# https://aws.amazon.com/ec2/instance-types/#Accelerated_Computing: GPUs, Neuron, Gaudi and Qualcomm, video, FPGAs.
_WITH_DEVICES = frozenset(("g", "gr", "p", "inf", "trn", "dl", "vt", "f"))

# GiB of the size "large". From generation 5 on these series keep their ratio of memory to vCPUs.
_GIB_OF_LARGE = {"c": 4, "m": 8, "r": 16, "t": 8}
_FIRST_REGULAR_GENERATION = {"c": 5, "m": 5, "r": 5, "t": 2}
_LARGES = {"nano": 1 / 16, "micro": 1 / 8, "small": 1 / 4, "medium": 1 / 2, "large": 1, "xlarge": 2}


@cache
def sizes_by_family() -> Mapping[str, tuple[str, ...]]:
    """The sizes of each family that runs Linux, smallest first."""
    lines = (line.split() for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {family: tuple(sizes) for family, *sizes in lines}


@cache
def all_types() -> frozenset[str]:
    """Every instance type that runs Linux."""
    return frozenset(f"{family}.{size}" for family, sizes in sizes_by_family().items() for size in sizes)


def exists(instance_type: str) -> bool:
    """Whether this is an EC2 instance type, in any region, that runs Linux."""
    return instance_type in all_types()


def architecture(instance_type: str) -> Architecture:
    """The processor architecture: a `g` after the generation digit means Graviton (m7g, c7gn, t4g, x2gd).

    A rule with two exceptions instead of a list, so that a new family needs only a line in the table.
    """
    name = _NAME.fullmatch(instance_type)
    if name is None:
        raise ValueError(f"{instance_type!r} is not the name of an EC2 instance type")
    return "arm64" if "g" in name["attributes"] or instance_type.startswith(_OTHER_ARM) else "amd64"


def needs_a_driver(instance_type: str) -> bool:
    """Whether the type has GPUs or other accelerators; they need a driver that Debian's images do not include."""
    name = _NAME.fullmatch(instance_type)
    return name is not None and name["series"] in _WITH_DEVICES


def memory_gib(instance_type: str) -> float | None:
    """Memory in GiB of the c, m, r and t families, never more than AWS gives; None for other families."""
    name = _NAME.fullmatch(instance_type)
    if name is None or name["series"] not in _GIB_OF_LARGE or name["size"].startswith("metal"):
        return None
    if int(name["generation"]) < _FIRST_REGULAR_GENERATION[name["series"]]:
        return None
    larges = _LARGES.get(name["size"]) or 2 * int(name["size"].removesuffix("xlarge"))
    if name["series"] == "t" and name["size"] == "medium":
        return 4
    return _GIB_OF_LARGE[name["series"]] * larges


def table(types: Iterable[str]) -> str:
    """The table's text for these types."""
    sizes: dict[str, list[str]] = {}
    for family, _, size in (name.partition(".") for name in types if not name.startswith("mac")):
        sizes.setdefault(family, []).append(size)
    lines = (f"{family} {' '.join(sorted(sizes[family], key=_place))}\n" for family in sorted(sizes))
    return "# EC2's instance types that run Linux: family and sizes. `make instance-types` writes this.\n" + "".join(
        lines
    )


def _place(size: str) -> tuple[float, int]:
    number = re.search(r"\d+", size)
    return _LARGES.get(size, 1000 if size.startswith("metal") else 3), int(number[0]) if number else 0


if __name__ == "__main__":
    import botocore.session  # only for this tool: the program runs without it

    model = botocore.session.get_session().get_service_model("ec2")
    sys.stdout.write(table(model.shape_for("InstanceType").enum))
