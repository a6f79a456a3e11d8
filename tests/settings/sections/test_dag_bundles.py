"""The names of DAG bundles, and what of them reaches the nodes."""

from __future__ import annotations

import json

import pytest

from node.dag_bundles import config_list
from node.roles import MASTERS
from node.user_data import user_data
from tests.stack_file import changed, content, faults_of, load, the_fault

OPTION = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"


def test_a_stack_file_without_the_key_has_one_release_bundle_named_dags():
    without, named = load(content()), load(changed({"airflow:dagBundles": {"dags": {}}}))
    assert without.node_environment(MASTERS).variables()[OPTION] == (
        '[{"name": "dags", "classpath": "release_bundle.ReleaseDagBundle", "kwargs":'
        ' {"bucket_name": "airflow-prod-111122223333-eu-west-1-dags"}}]'
    )
    for group in without.node_groups:
        assert user_data(without.node_environment(group)) == user_data(named.node_environment(group))


def test_the_order_of_bundles_in_the_stack_file_replaces_no_node():
    one, other = (load(changed({"airflow:dagBundles": {name: {} for name in names}})) for names in ("ab", "ba"))
    assert user_data(one.node_environment(MASTERS)) == user_data(other.node_environment(MASTERS))
    bundles = json.loads(one.node_environment(MASTERS).variables()[OPTION])
    assert [bundle["name"] for bundle in bundles] == ["a", "b"]


@pytest.mark.parametrize(
    "name",
    ["Finance", "finance_team", "-finance", "finance-", "fi/nance", "../dags", "a" * 64, "", "_locks", "7up", "a b"],
)
def test_a_name_that_cannot_be_a_folder_a_prefix_and_a_part_of_a_policy_is_refused(name: str):
    fault = the_fault({"airflow:dagBundles": {name: {}, "dags": {}}})
    assert fault.key == f"airflow:dagBundles.{name}"
    assert fault.allowed.startswith("lower-case letters, digits and single hyphens, at most 63 characters")
    assert fault.remedy.startswith("rename it, for example ")


def test_all_faults_of_names_are_told_at_once():
    assert len(faults_of({"airflow:dagBundles": {"A": {}, "B": {}, "ok": {}, "a" * 63: {}}})) == 2


def test_a_stack_without_a_bundle_is_refused():
    assert the_fault({"airflow:dagBundles": {}}).remedy.startswith("leave airflow:dagBundles out")


def test_bundles_that_exceed_the_user_data_are_a_fault_of_their_section():
    many = {f"team-{number * 7919 % 100_003:05}-{number * 104_729 % 99_991:05}": {} for number in range(300)}
    fault = the_fault({"airflow:dagBundles": many})
    assert fault.key == "airflow:dagBundles"
    length = len(config_list(load(content()).node_environment(MASTERS).dag_bundles, "")) - 2
    assert length * 200 < int(fault.remedy.split("(")[1].split()[0].replace(",", ""))
