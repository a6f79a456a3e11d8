"""What the name of an EC2 instance type says about it: processor architecture and, for common families, memory."""

from __future__ import annotations

import re
from typing import Literal

Architecture = Literal["amd64", "arm64"]

# https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html:
# series, generation, processor and capability letters, optional suffix such as -flex, a dot, the size.
_NAME = re.compile(
    r"(?P<series>[a-z]+)(?P<generation>\d+)(?P<attributes>[a-z]*)(?:-[a-z0-9]+)*"
    r"\.(?P<size>nano|micro|small|medium|large|xlarge|\d+xlarge|metal(?:-\d+xl)?)"
)

# GiB of the size "large". From generation 5 on these series keep their ratio of memory to vCPUs.
_GIB_OF_LARGE = {"c": 4, "m": 8, "r": 16, "t": 8}
_FIRST_REGULAR_GENERATION = {"c": 5, "m": 5, "r": 5, "t": 2}
_LARGES = {"nano": 1 / 16, "micro": 1 / 8, "small": 1 / 4, "medium": 1 / 2, "large": 1, "xlarge": 2}


def is_well_formed(instance_type: str) -> bool:
    """Whether this can be an EC2 instance type that runs Linux; Apple hardware (`mac2.metal`) cannot."""
    name = _NAME.fullmatch(instance_type)
    return name is not None and name["series"] != "mac"


def architecture(instance_type: str) -> Architecture:
    """The processor architecture: a `g` after the generation digit means Graviton (m7g, c7gn, t4g, x2gd), as does a1.

    A rule and not a list, so that a family AWS brings out tomorrow needs no change here.
    """
    name = _NAME.fullmatch(instance_type)
    if name is None:
        raise ValueError(f"{instance_type!r} is not the name of an EC2 instance type")
    if "g" in name["attributes"] or (name["series"], name["generation"]) == ("a", "1"):
        return "arm64"
    return "amd64"


def memory_gib(instance_type: str) -> float | None:
    """Memory of the c, m, r and t families, never more than AWS gives; None for types whose name does not tell."""
    name = _NAME.fullmatch(instance_type)
    if name is None or name["series"] not in _GIB_OF_LARGE or name["size"].startswith("metal"):
        return None
    if int(name["generation"]) < _FIRST_REGULAR_GENERATION[name["series"]]:
        return None
    larges = _LARGES.get(name["size"]) or 2 * int(name["size"].removesuffix("xlarge"))
    if name["series"] == "t" and name["size"] == "medium":
        return 4
    return _GIB_OF_LARGE[name["series"]] * larges
