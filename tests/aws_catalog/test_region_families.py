from __future__ import annotations

import pytest

from aws_catalog import region_families
from aws_catalog.region_families import by_region, is_offered
from aws_catalog.regions import ZONE_LETTERS


def test_the_table_matches_the_installed_list():
    assert region_families.table(region_families.offered_by_cfn_lint()) == region_families.TABLE.read_text(), (
        "run `make instance-types`"
    )


def test_every_region_has_families():
    assert by_region().keys() == ZONE_LETTERS.keys()
    assert all("t3" in families or "t4g" in families for families in by_region().values())


@pytest.mark.parametrize(
    ("instance_type", "region", "offered"),
    [("m7i.large", "eu-west-1", True), ("r7a.xlarge", "eu-west-2", False), ("m1.small", "eu-central-2", False)],
)
def test_the_families_that_a_region_lacks_are_known(instance_type: str, region: str, offered: bool):
    assert is_offered(instance_type, region) is offered
