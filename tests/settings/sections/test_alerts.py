"""Who is told: subscribers, their severities, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from settings.errors import Fault
from tests.stack_file import changed, content, faults_of, load, the_fault


def of(**subscribers: Any) -> dict[str, Any]:
    return {"airflow:alerts": {"subscribers": subscribers}}


def fault(endpoint: Any) -> Fault:
    return the_fault(of(team={"endpoint": endpoint}))


def test_a_stack_file_without_the_section_has_no_alerts():
    assert load(content()).alerts is None


def test_the_section_may_have_no_subscriber():
    for empty in ({}, {"subscribers": {}}):
        alerts = load(changed({"airflow:alerts": empty})).alerts
        assert alerts is not None
        assert alerts.subscribers == {}


def test_a_subscriber_gets_warnings_unless_the_stack_file_says_otherwise():
    alerts = load(changed(of(team={"endpoint": "a@example.com"}))).alerts
    assert alerts is not None
    assert alerts.subscribers["team"].minimum_severity == "warning"


@pytest.mark.parametrize(
    "endpoint",
    [
        "on-call@example.com",
        "first.last+airflow@mail.example.co.uk",
        "https://alerts.example.com",
        "https://alerts.example.com/",
        "https://alerts.example.com:8443/sns/airflow-prod",
    ],
)
def test_email_addresses_and_https_urls_are_accepted(endpoint: str):
    assert faults_of(of(team={"endpoint": endpoint})) == ()


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "on-call",
        "on-call@localhost",
        "two words@example.com",
        "a@b@example.com",
        "on-call@example.com, team@example.com",
        f"{'a' * 65}@example.com",
        "+49 30 1234567",
        "arn:aws:sns:eu-west-1:111122223333:alerts",
        "http://alerts.example.com/sns",
        "https://10.0.0.1/sns",
        "https://localhost/sns",
        "https://alerts.example.com:99999/sns",
        "https://alerts.example.com/sns#part",
    ],
)
def test_anything_else_is_no_endpoint(endpoint: str):
    found = fault(endpoint)
    assert found.key == "airflow:alerts.subscribers.team.endpoint"
    assert found.allowed.startswith("an email address, or the https:// URL")
    assert "on-call@example.com or https://" in found.remedy


@pytest.mark.parametrize(
    "endpoint", ["https://user:hunter2@alerts.example.com/sns", "https://api.example.com/v1/sns?apiKey=hunter2"]
)
def test_a_url_with_a_secret_is_refused_and_not_shown(endpoint: str):
    found = fault(endpoint)
    assert "hunter2" not in str(found)
    assert "subscribe it yourself (docs/alerts.md)" in found.remedy


def test_an_unknown_severity_is_refused():
    found = the_fault(of(team={"endpoint": "a@example.com", "minimumSeverity": "info"}))
    assert found.key == "airflow:alerts.subscribers.team.minimumSeverity"
    assert (found.given, found.allowed) == ('"info"', "'critical' or 'warning'")


def test_the_same_endpoint_twice_is_refused_whatever_its_case():
    found = the_fault(of(team={"endpoint": "a@example.com"}, boss={"endpoint": "A@Example.com"}))
    assert found.key == "airflow:alerts.subscribers.boss.endpoint"
    assert found.given == '"A@Example.com", which team has too'


def test_all_faults_are_told_at_once():
    subscribers = {
        "Team": {"endpoint": "a@example.com"},
        "broken": {"endpoint": "nobody", "severity": "critical"},
        "first": {"endpoint": "b@example.com"},
        "again": {"endpoint": "b@example.com", "minimumSeverity": "high"},
        "empty": {},
        "text": "c@example.com",
    }
    keys = {each.key.removeprefix("airflow:alerts.subscribers.") for each in faults_of(of(**subscribers))}
    assert keys == {
        "Team",
        "broken.endpoint",
        "broken.severity",
        "again.endpoint",
        "again.minimumSeverity",
        "empty.endpoint",
        "text",
    }
