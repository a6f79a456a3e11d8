"""The Debian packages that a stack file lists for masters and worker pools."""

from __future__ import annotations

import pytest

from node.roles import MASTERS, NodeGroup, worker_group
from tests.stack_file import changed, content, faults_of, load, the_fault

HEAVY = "airflow:workerPools.heavy.systemPackages"
both = pytest.mark.parametrize("key", [HEAVY, "airflow:masters.systemPackages"])


def _given(changes: dict[str, object], group: NodeGroup) -> str | None:
    return load(changed(changes)).node_environment(group).variables().get("NODE_SYSTEM_PACKAGES")


@both
@pytest.mark.parametrize("name", ["git", "g++", "libstdc++6", "python3.13", "0ad", "7zip", "r-base"])
def test_every_name_that_debian_allows_is_accepted(key: str, name: str):
    assert faults_of({key: [name]}) == ()


@both
def test_all_faults_of_a_list_are_told_at_once_with_the_names_that_are_probably_meant(key: str):
    fault = the_fault({key: ["Git", "git=1:2.47", "ffmpeg", "ffmpeg", "-y", "sudo-", "x"]})
    assert fault.key == key
    assert fault.remedy == (
        'correct "Git" (perhaps git), "git=1:2.47" (perhaps git), "-y", "sudo-" (perhaps sudo), "x"; '
        "keep only one of each: ffmpeg"
    )


def test_faults_of_masters_and_pools_are_told_together():
    faults = faults_of({HEAVY: ["Git"], "airflow:masters.systemPackages": ["--yes"]})
    assert {fault.key for fault in faults} == {HEAVY, "airflow:masters.systemPackages"}


@pytest.mark.parametrize("value", ["git", {"git": "1"}, [1], None])
def test_a_value_that_is_no_list_of_names_is_refused(value: object):
    assert faults_of({HEAVY: value})


def test_packages_reach_the_nodes_of_their_group_and_no_others():
    changes: dict[str, object] = {HEAVY: ["git", "ffmpeg"]}
    assert _given(changes, worker_group("heavy")) == "ffmpeg git"
    assert _given(changes, worker_group("default")) is None
    assert _given(changes, MASTERS) is None
    assert _given({"airflow:masters.systemPackages": ["git"]}, MASTERS) == "git"


def test_another_order_replaces_no_node():
    def rendered(packages: list[str]) -> str:
        return load(changed({HEAVY: packages})).node_environment(worker_group("heavy")).render()

    assert rendered(["git", "ffmpeg"]) == rendered(["ffmpeg", "git"])
    assert rendered([]) == load(content()).node_environment(worker_group("heavy")).render()
