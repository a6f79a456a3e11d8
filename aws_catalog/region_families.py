"""The instance families that EC2 offers in each region, as of the cfn-lint release that the table was generated from.

https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-regions.html. AWS keeps adding families to regions, so
a missing family causes a warning, not an error. AWS does not document what each zone offers: the same letter can stand
for a different physical zone in each account.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_suffix(".txt")
"""One line for each region: its name and its families. Written by `make instance-types`."""


@cache
def by_region() -> Mapping[str, frozenset[str]]:
    """The families of each region."""
    lines = (line.split() for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {region: frozenset(families) for region, *families in lines}


def is_offered(instance_type: str, region: str) -> bool:
    """Whether the table lists the type's family for the region."""
    return instance_type.partition(".")[0] in by_region()[region]


def table(types_by_region: Mapping[str, Iterable[str]]) -> str:
    """The table's text for these types."""
    lines = ["# The families of EC2 instance types in each region. `make instance-types` writes this."]
    for region, types in sorted(types_by_region.items()):
        families = sorted({name.partition(".")[0] for name in types if not name.startswith("mac")})
        lines.append(f"{region} {' '.join(families)}")
    return "\n".join(lines) + "\n"


def offered_by_cfn_lint() -> dict[str, list[str]]:
    """The types in each region of `aws_catalog.regions`, which cfn-lint derives from AWS's price list."""
    import json  # these imports are only for this tool: the program runs without them

    import cfnlint

    from aws_catalog.regions import ZONE_LETTERS

    file = Path(cfnlint.__file__).parent / "data/schemas/extensions/aws_ec2_instance/instancetype_enum.json"
    listed = json.loads(file.read_text(encoding="utf-8"))
    return {region: listed[region]["enum"] for region in ZONE_LETTERS}


if __name__ == "__main__":
    sys.stdout.write(table(offered_by_cfn_lint()))
