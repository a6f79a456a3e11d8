"""Where the lab's parts have their addresses."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from lab.addresses import AddressPlan, plan_addresses
from lab.progress import LabError
from tests.stack_variants import recorded


def test_a_stack_in_an_existing_network_is_refused_with_the_key_that_names_it():
    with pytest.raises(LabError, match=r"airflow:network\.existing"):
        plan_addresses(recorded("existing-vpc"))


def test_the_name_server_has_the_vpcs_third_address_as_on_aws(plan: AddressPlan):
    assert plan.resolver == IPv4Address("10.80.0.2")
