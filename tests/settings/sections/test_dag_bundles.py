"""The names of DAG bundles, and what of them reaches the nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node.dag_bundles import config_list
from node.roles import MASTERS, Role
from node.user_data import decode, user_data
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


HOST_KEY = "git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1zqwN6gEo1cZ2vCzSKdvqhMrzTFmQkE4s8mBu3s0xT"
OVER_HTTPS = {"repository": "https://git.example.com/team/dags.git", "trackingRef": "main"}
OVER_SSH = {
    "repository": "ssh://git@git.example.com/team/dags.git",
    "trackingRef": "main",
    "credentialsSecret": "finance/git",
    "knownHosts": [HOST_KEY],
}


def _git(**keys: Any) -> dict[str, Any]:
    """A change to a stack with one bundle from Git."""
    return {
        "airflow:dagBundles": {"finance": {"git": {key: value for key, value in keys.items() if value is not None}}}
    }


def test_a_git_bundle_reaches_the_nodes_with_its_connection_and_without_a_secret():
    node = load(changed(_git(**OVER_SSH | {"subdirectory": "airflow/dags"}))).node_environment(MASTERS)
    assert json.loads(node.variables()[OPTION]) == [
        {
            "name": "finance",
            "classpath": "git_bundle.CommitDagBundle",
            "kwargs": {
                "repo_url": "ssh://git@git.example.com/team/dags.git",
                "tracking_ref": "main",
                "git_conn_id": "git_finance",
                "refresh_interval": 60,
                "subdir": "airflow/dags",
            },
        }
    ]
    assert node.variables()["NODE_SECRETS"].endswith(" AIRFLOW_CONN_GIT_FINANCE=finance/git")
    assert decode(user_data(node))["/etc/ssh/ssh_known_hosts"] == f"{HOST_KEY}\n"


def test_only_nodes_of_a_stack_with_a_git_bundle_install_git():
    def packages(change: dict[str, Any]) -> set[str]:
        settings = load(changed({**change, "airflow:workerPools.heavy.systemPackages": ["git", "jq"]}))
        return {
            settings.node_environment(group).variables().get("NODE_SYSTEM_PACKAGES", "")
            for group in settings.node_groups
        }

    assert packages({}) == {"", "git jq"}
    assert packages(_git(**OVER_HTTPS)) == {"git", "git jq"}
    assert packages(_git(**OVER_SSH)) == {"git openssh-client", "git jq openssh-client"}


def test_a_master_gives_git_a_limit_of_time_and_tasks_none():
    settings = load(changed(_git(**OVER_HTTPS)))
    limited = {
        group.role: settings.node_environment(group).variables().get("GIT_PYTHON_GIT_EXECUTABLE")
        for group in settings.node_groups
    }
    assert limited == {Role.MASTER: "/usr/local/lib/airflow/git-within-limit", Role.WORKER: None}


def test_a_public_repository_has_a_connection_without_credentials():
    settings = load(changed({"airflow:dagBundles": {"open-data": {"git": OVER_HTTPS}}}))
    variables = settings.node_environment(MASTERS).variables()
    assert variables["AIRFLOW_CONN_GIT_OPEN_DATA"] == "git://", "or every task would ask the API for one"
    assert "AIRFLOW_CONN_GIT" not in variables["NODE_SECRETS"]
    assert "/etc/ssh/ssh_known_hosts" not in decode(user_data(settings.node_environment(MASTERS)))


@pytest.mark.parametrize(
    "repository",
    [
        "git@git.example.com:team/dags.git",
        "http://git.example.com/team/dags.git",
        "file:///var/lib/dags",
        "ssh://-oProxyCommand=x@git.example.com/a",
        "ssh://git@-oProxyCommand=x/a",
        "ssh://git.example.com/team/dags.git",
        "https://git.example.com:99999/a",
        "ext::sh -c x",
    ],
)
def test_a_repository_is_an_https_or_ssh_url(repository: str):
    fault = the_fault(_git(**OVER_HTTPS | {"repository": repository}))
    assert fault.key == "airflow:dagBundles.finance.git.repository"
    assert "or ssh://git@git.example.com/team/dags.git; credentials belong in credentialsSecret" in fault.remedy


@pytest.mark.parametrize("url", ["https://ann:hunter2@git.example.com/a", "https://hunter2@git.example.com/a"])
def test_a_password_in_the_url_is_refused_and_not_shown(url: str):
    fault = the_fault(_git(**OVER_HTTPS | {"repository": url}))
    assert "hunter2" not in str(fault)


@pytest.mark.parametrize("ref", ["-x", "a..b", "a b", "main/", "a.lock", "x/.y", "0" * 40, "", "HEAD^", "a//b"])
def test_a_tracking_ref_is_a_branch_or_a_tag(ref: str):
    assert the_fault(_git(**OVER_HTTPS | {"trackingRef": ref})).key == "airflow:dagBundles.finance.git.trackingRef"


@pytest.mark.parametrize("folder", ["/dags", "dags/", "../dags", "a/../../b", "a//b", ".", "a b"])
def test_a_subdirectory_stays_in_the_repository(folder: str):
    assert the_fault(_git(**OVER_HTTPS | {"subdirectory": folder})).key == "airflow:dagBundles.finance.git.subdirectory"


def test_accepted_repositories():
    for keys in (
        OVER_HTTPS,
        OVER_SSH,
        OVER_HTTPS | {"trackingRef": "release/2026.11", "subdirectory": ".airflow/dags", "credentialsSecret": "a/b"},
        OVER_SSH
        | {
            "repository": "ssh://git@git.example.com:2222/team/dags.git",
            "knownHosts": [HOST_KEY.replace("git.example.com", "[git.example.com]:2222,[10.0.0.1]:2222")],
        },
    ):
        assert faults_of(_git(**keys)) == ()


def test_ssh_needs_a_key_and_a_host_that_is_known():
    secret, hosts = faults_of(_git(**OVER_SSH | {"credentialsSecret": None, "knownHosts": None}))
    assert secret.key == "airflow:dagBundles.finance.git.credentialsSecret"
    assert hosts.key == "airflow:dagBundles.finance.git.knownHosts"
    assert "ssh-keyscan -t ed25519 git.example.com`" in hosts.remedy


def test_the_known_host_is_the_one_of_the_repository():
    fault = the_fault(_git(**OVER_SSH | {"repository": "ssh://git@git.example.com:2222/a"}))
    assert fault.allowed.startswith("at least one key of [git.example.com]:2222")
    assert "`ssh-keyscan -t ed25519 -p 2222 git.example.com`" in fault.remedy


def test_host_keys_are_of_no_use_over_https():
    assert the_fault(_git(**OVER_HTTPS | {"knownHosts": [HOST_KEY]})).remedy.startswith("remove knownHosts")


@pytest.mark.parametrize(
    "line", ["git.example.com", "|1|a=|b= ssh-ed25519 AAAA", HOST_KEY.replace("ssh-ed25519", "ssh-dss"), f"*{HOST_KEY}"]
)
def test_a_known_host_has_a_plain_name_and_a_key(line: str):
    keys = [fault.key for fault in faults_of(_git(**OVER_SSH | {"knownHosts": [line]}))]
    assert keys == ["airflow:dagBundles.finance.git.knownHosts[0]"]


def test_faults_of_several_bundles_are_told_at_once():
    bundles = {
        "a": {"git": OVER_SSH | {"trackingRef": ".."}},
        "b": {"git": OVER_HTTPS | {"refreshSeconds": 1}},
        "C": {},
    }
    assert len(faults_of({"airflow:dagBundles": bundles})) == 3


def test_every_node_reads_the_secrets_of_all_repositories():
    bundles = {"b": {"git": OVER_SSH}, "a": {"git": OVER_SSH}, "c": {"git": OVER_HTTPS}, "d": {}}
    index = {"url": "https://packages.example.com/simple/", "credentialsSecret": "index"}
    settings = load(changed({"airflow:packageIndex": index, "airflow:dagBundles": bundles}))
    assert settings.operator_secrets == ("finance/git", "index")
    assert settings.release_bundles == ("d",)


def test_bundles_that_exceed_the_user_data_are_a_fault_of_their_section():
    many = {f"team-{number * 7919 % 100_003:05}-{number * 104_729 % 99_991:05}": {} for number in range(300)}
    fault = the_fault({"airflow:dagBundles": many})
    assert fault.key == "airflow:dagBundles"
    length = len(config_list(load(content()).node_environment(MASTERS).dag_bundles, "")) - 2
    assert length * 200 < int(fault.remedy.split("(")[1].split()[0].replace(",", ""))
