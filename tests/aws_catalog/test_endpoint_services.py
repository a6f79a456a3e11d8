from __future__ import annotations

import boto3

from aws_catalog.endpoint_services import REGIONS, SERVICES
from aws_catalog.regions import ZONE_LETTERS


def test_the_regions_of_rare_services_are_those_that_the_sdk_knows():
    assert REGIONS.keys() <= set(SERVICES)
    for service, regions in REGIONS.items():
        of_sdk = boto3.Session().get_available_regions(service.partition(".")[0])
        assert set(regions) == set(of_sdk) & ZONE_LETTERS.keys(), service
