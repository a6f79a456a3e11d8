"""The account and the tags of a stack."""

from __future__ import annotations

from tests.stack_file import REMOVED, faults_of, the_fault


def test_an_account_that_is_not_allowed_is_refused():
    fault = the_fault({"airflow:cluster.accountId": "999999999999"})
    assert fault.key == "airflow:cluster.accountId"
    assert fault.allowed == "one of aws:allowedAccountIds: 111122223333"


def test_without_allowed_accounts_any_account_is_accepted():
    assert faults_of({"airflow:cluster.accountId": "999999999999", "aws:allowedAccountIds": REMOVED}) == ()


def test_the_stacks_tags_fit_the_artifacts_too():
    assert faults_of({"aws:defaultTags.tags": {f"t{number}": "" for number in range(10)}}) == ()
    fault = the_fault({"aws:defaultTags.tags": {f"t{number}": "" for number in range(11)}})
    assert (fault.given, fault.remedy) == ("11 tags", "remove 1")


def test_tags_that_the_program_sets_are_refused():
    assert [fault.key for fault in faults_of({"aws:defaultTags.tags": {"Name": "x", "airflow:role": "y"}})] == [
        "aws:defaultTags.tags.Name",
        "aws:defaultTags.tags.airflow:role",
    ]


def test_tags_that_iam_cannot_tell_apart_are_refused():
    fault = the_fault({"aws:defaultTags.tags": {"Team": "data", "team": "data"}})
    assert fault.given == "Team and team"
