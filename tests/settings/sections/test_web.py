"""The load balancers, the domain and the addresses of users."""

from __future__ import annotations

import pytest

from tests.stack_file import faults_of, the_fault

DOMAIN = {"airflow:web.domain": "airflow.example.com", "airflow:web.hostedZoneId": "Z0123456789"}


def test_a_domain_needs_its_hosted_zone():
    fault = the_fault({"airflow:web.domain": "airflow.example.com"})
    assert fault.key == "airflow:web.hostedZoneId"
    assert fault.given == 'nothing, with domain "airflow.example.com"'


def test_a_hosted_zone_needs_a_domain():
    assert the_fault({"airflow:web.hostedZoneId": "Z0123456789"}).key == "airflow:web.domain"


def test_public_access_needs_a_domain():
    fault = the_fault({"airflow:web.public": {}})
    assert fault.key == "airflow:web.public"
    assert fault.given == "public access without a domain"


def test_public_access_with_a_domain_is_accepted():
    assert faults_of({**DOMAIN, "airflow:web.public": {}}) == ()


def test_the_whole_internet_cannot_be_a_source_for_the_internal_load_balancer():
    fault = the_fault({"airflow:web.allowedCidrs": ["0.0.0.0/0"]})
    assert fault.key == "airflow:web.allowedCidrs[0]"
    assert "for access from the internet set airflow:web.public" in fault.remedy


def test_a_private_network_cannot_be_a_source_for_the_public_load_balancer():
    fault = the_fault({**DOMAIN, "airflow:web.public": {"allowedCidrs": ["203.0.113.0/24", "10.0.0.0/8"]}})
    assert fault.key == "airflow:web.public.allowedCidrs[1]"
    assert "move it to airflow:web.allowedCidrs" in fault.remedy


@pytest.mark.parametrize(
    "cidr",
    ["127.0.0.0/8", "100.64.0.0/10", "100.100.0.0/16", "169.254.10.0/24", "0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/8"],
)
def test_a_network_that_is_not_on_the_internet_cannot_be_a_source_for_the_public_load_balancer(cidr: str):
    fault = the_fault({**DOMAIN, "airflow:web.public": {"allowedCidrs": ["203.0.113.0/24", cidr]}})
    assert fault.key == "airflow:web.public.allowedCidrs[1]"
    assert "a public address" in fault.allowed


@pytest.mark.parametrize("cidr", ["127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "224.0.0.0/8"])
def test_a_network_that_sends_no_packets_cannot_be_a_source_for_the_internal_load_balancer(cidr: str):
    fault = the_fault({"airflow:web.allowedCidrs": ["10.80.0.0/16", cidr]})
    assert fault.key == "airflow:web.allowedCidrs[1]"
    assert fault.remedy == "remove it; for access from the internet set airflow:web.public"


@pytest.mark.parametrize("cidr", ["100.64.0.0/10", "52.0.0.0/16", "192.168.7.0/24"])
def test_networks_that_are_routed_inside_a_company_can_be_sources_for_the_internal_load_balancer(cidr: str):
    assert faults_of({"airflow:web.allowedCidrs": [cidr]}) == ()


def test_overlapping_sources_are_refused():
    fault = the_fault({"airflow:web.allowedCidrs": ["10.0.0.0/8", "10.80.0.0/16"]})
    assert fault.key == "airflow:web.allowedCidrs[1]"
    assert fault.given == '"10.80.0.0/16", which lies inside 10.0.0.0/8'


def test_overlapping_public_sources_are_refused():
    fault = the_fault({**DOMAIN, "airflow:web.public": {"allowedCidrs": ["203.0.113.7/32", "203.0.113.0/24"]}})
    assert fault.key == "airflow:web.public.allowedCidrs[0]"


def test_sources_fit_the_rules_of_a_security_group():
    networks = [f"10.{number}.0.0/16" for number in range(30)]
    assert faults_of({"airflow:web.allowedCidrs": networks}) == ()
    fault = the_fault({**DOMAIN, "airflow:web.allowedCidrs": networks})
    assert fault.allowed.startswith("at most 29: a security group has 60 rules, and each network needs 2")


def test_public_sources_fit_the_rules_of_a_security_group():
    networks = [f"203.0.113.{number}/32" for number in range(61)]
    fault = the_fault({**DOMAIN, "airflow:web.public": {"allowedCidrs": networks}})
    assert fault.key == "airflow:web.public.allowedCidrs"
