"""Regions and zones, against the list that botocore ships."""

from __future__ import annotations

import boto3

from aws_catalog import regions


def test_all_commercial_regions_are_listed():
    assert set(regions.ZONE_LETTERS) == set(boto3.Session().get_available_regions("ec2"))


def test_zones_are_the_region_and_a_letter():
    assert regions.zones("ca-central-1") == ("ca-central-1a", "ca-central-1b", "ca-central-1d")


def test_every_region_has_the_two_zones_that_rds_requires():
    assert all(len(regions.zones(region)) >= 2 for region in regions.ZONE_LETTERS)


def test_the_regions_of_every_other_partition_are_known_by_their_names():
    session = boto3.Session()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("ec2", partition):
            assert regions.partition(region) == partition


def test_the_region_suggested_for_another_partition_is_in_the_commercial_one():
    assert set(regions.COMMERCIAL_REGIONS_NEARBY.values()) <= set(regions.ZONE_LETTERS)
