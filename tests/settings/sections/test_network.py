"""The rules of the network section."""

from __future__ import annotations

import ipaddress

import pytest

from components.subnet_layout import zone_subnets
from settings.sections import network
from tests.stack_file import REMOVED, faults_of, the_fault

EXISTING = {
    "vpcId": "vpc-0123456789abcdef0",
    "cidrs": ["10.0.0.0/16"],
    "privateSubnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "dataSubnetIds": ["subnet-0123456789abcdef2", "subnet-0123456789abcdef3"],
}


def test_an_existing_network_needs_no_other_key():
    assert faults_of({"airflow:network": {"existing": EXISTING}}) == ()


def test_the_remedy_for_the_old_key_of_a_single_range_is_the_new_key():
    before = {**{key: value for key, value in EXISTING.items() if key != "cidrs"}, "cidr": "10.0.0.0/16"}
    remedies = {fault.key: fault.remedy for fault in faults_of({"airflow:network": {"existing": before}})}
    assert remedies["airflow:network.existing.cidr"] == "did you mean airflow:network.existing.cidrs?"
    as_text = {**EXISTING, "cidrs": "10.0.0.0/16"}
    fault = the_fault({"airflow:network": {"existing": as_text}})
    assert fault.remedy == 'write ["10.0.0.0/16"]'


@pytest.mark.parametrize("cidrs", [[], ["10.0.0.0/16", "10.0.0.0/16"], ["10.0.0.0/15"]])
def test_ranges_that_no_vpc_has_are_refused(cidrs: list[str]):
    fault = the_fault({"airflow:network": {"existing": {**EXISTING, "cidrs": cidrs}}})
    assert fault.key.startswith("airflow:network.existing.cidrs")


def test_an_existing_network_together_with_a_range_and_zones_is_refused_key_by_key():
    faults = faults_of(
        {
            "airflow:network": {
                "existing": EXISTING,
                "cidr": "10.80.0.0/16",
                "zones": ["eu-west-1a"],
                "natGateways": "single",
                "flowLogRetentionDays": 90,
                "interfaceEndpoints": ["secretsmanager"],
            }
        }
    )
    assert [fault.key for fault in faults if "although airflow:network.existing is set" in fault.given] == [
        "airflow:network.cidr",
        "airflow:network.zones",
        "airflow:network.natGateways",
        "airflow:network.flowLogRetentionDays",
        "airflow:network.interfaceEndpoints",
    ], "each of these would have no effect, or an effect on everything else in the VPC"


def test_the_remedy_for_a_bad_range_with_an_existing_network_is_to_remove_it():
    faults = faults_of({"airflow:network": {"existing": EXISTING, "cidr": "10.80.0.0/33"}})
    assert [fault.key for fault in faults] == ["airflow:network.cidr", "airflow:network.cidr"], (
        "correcting the range would only lead to the next fault"
    )


def test_a_network_needs_a_range_and_zones_or_existing():
    faults = faults_of({"airflow:network": {}})
    assert [fault.key for fault in faults] == ["airflow:network.cidr", "airflow:network.zones"]
    assert "existing with the ids of an existing one" in faults[0].allowed


def test_a_zone_of_another_region_is_refused():
    fault = the_fault({"airflow:network.zones": ["eu-west-1a", "eu-central-1b"]})
    assert fault.key == "airflow:network.zones[1]"
    assert fault.allowed == "a zone of eu-west-1: eu-west-1a, eu-west-1b, eu-west-1c"


def test_a_zone_that_is_listed_twice_is_refused():
    fault = the_fault({"airflow:network.zones": ["eu-west-1a", "eu-west-1b", "eu-west-1a"]})
    assert (fault.key, fault.allowed) == ("airflow:network.zones[2]", "each zone once")


def test_one_zone_is_too_few_for_rds_and_load_balancers():
    fault = the_fault({"airflow:network.zones": ["eu-west-1a"]})
    assert fault.key == "airflow:network.zones"
    assert "two zones or more" in fault.allowed


def test_the_smallest_accepted_range_gives_subnets_that_aws_allows():
    subnets = zone_subnets(f"10.80.0.0/{network.OWN_VPC_PREFIXES[1]}", "eu-west-1a")
    assert max(subnets.public.prefixlen, subnets.private.prefixlen, subnets.data.prefixlen) == 28
    assert subnets.public.num_addresses >= 32, "a load balancer needs a /27"


def test_the_rules_use_the_size_of_the_private_subnets():
    vpc = ipaddress.IPv4Network("10.80.0.0/16")
    private = zone_subnets(str(vpc), "eu-west-1a").private
    assert private.prefixlen - vpc.prefixlen == network.PRIVATE_SUBNET_BITS


def test_a_range_too_small_for_its_nodes_is_refused():
    changes = {"airflow:network.cidr": "10.80.0.0/22", "airflow:workerPools.heavy.maxSize": 150}
    faults = [fault for fault in faults_of(changes) if fault.key == "airflow:network.cidr"]
    assert len(faults) == 1
    # A /22 has private /26 subnets: 59 usable addresses each, 8 of them for the load balancer.
    assert "leaves 153 addresses for nodes in 3 zones" in faults[0].given
    assert "a range for 335 nodes: 2 masters, one more during a replacement, 332 workers" in faults[0].allowed


@pytest.mark.parametrize("key", ["privateSubnetIds", "dataSubnetIds"])
def test_an_existing_public_subnet_cannot_also_be_a_private_or_data_subnet(key: str):
    shared = EXISTING[key]
    fault = the_fault({"airflow:network": {"existing": {**EXISTING, "publicSubnetIds": shared}}})
    assert fault.key == f"airflow:network.existing.{key}"


def test_existing_data_subnets_may_be_the_private_ones():
    subnets = EXISTING["privateSubnetIds"]
    assert faults_of({"airflow:network": {"existing": {**EXISTING, "dataSubnetIds": subnets}}}) == ()


def test_public_access_in_an_existing_network_needs_its_public_subnets():
    changes = {
        "airflow:network": {"existing": EXISTING},
        "airflow:web.domain": "airflow.example.com",
        "airflow:web.hostedZoneId": "Z0123456789",
        "airflow:web.public": {},
    }
    fault = the_fault(changes)
    assert fault.key == "airflow:network.existing.publicSubnetIds"
    assert "two public subnets or more" in fault.allowed


def test_without_a_region_the_zones_are_not_checked():
    assert the_fault({"aws:region": REMOVED}).key == "aws:region"
