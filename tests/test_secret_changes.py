"""Which nodes `pulumi up` replaces when the value of a secret changes."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from typing import Any

import pytest

from components.secrets import Secrets, SecretsArgs
from engine.program import deploy
from engine.recording import UNKNOWN
from node.roles import Role
from plan.changes import Changes, compare
from plan.effects import effects
from tests.stack_file import ROOT, changed
from tests.stack_queries import GROUP, SECRET_VERSION, TEMPLATE
from tests.stack_variants import recorded

MASTERS, POOLS = {"masters-group"}, {"pool-default-group", "pool-heavy-group"}


def after_a_change_of(key: str, monkeypatch: pytest.MonkeyPatch) -> Changes:
    """The change of the prod stack when this secret gets another value."""
    before = recorded("prod")
    values = Secrets._values

    def with_another(self: Secrets, name: str, args: SecretsArgs) -> Mapping[str, Any]:
        found = values(self, name, args)
        return {**found, key: found[key].apply(lambda value: f"{value}-another")}

    monkeypatch.setattr(Secrets, "_values", with_another)
    _, recording = deploy(lambda: runpy.run_path(str(ROOT / "__main__.py")), config=changed({}))
    return compare(before, recording)


def replaced_groups(changes: Changes) -> set[str]:
    """The groups whose nodes a refresh replaces, because their launch template has another version."""
    return {change.resource.name for change in changes.updates(GROUP)}


def reasons(changes: Changes) -> str:
    return "\n".join(effects(changes))


@pytest.mark.parametrize("key", sorted({*Role.MASTER.definition.secrets, *Role.WORKER.definition.secrets}))
def test_a_changed_secret_replaces_exactly_the_nodes_whose_services_read_it(key: str, monkeypatch: pytest.MonkeyPatch):
    readers = {role for role in Role if key in role.definition.secrets}
    expected = (MASTERS if Role.MASTER in readers else set()) | (POOLS if Role.WORKER in readers else set())
    assert replaced_groups(after_a_change_of(key, monkeypatch)) == expected


@pytest.mark.parametrize("key", Role.MASTER.definition.bootstrap_secrets)
def test_a_secret_that_only_the_preparation_of_the_database_reads_replaces_no_node(
    key: str, monkeypatch: pytest.MonkeyPatch
):
    changes = after_a_change_of(key, monkeypatch)
    assert [change.resource.name for change in changes.items] == [f"secrets-{key}-value"]


def test_the_plan_names_the_secret_for_which_nodes_are_replaced(monkeypatch: pytest.MonkeyPatch):
    assert (
        "masters: the 2 nodes are replaced one after the other, because the launch template "
        "(the secret database-dsn) changes." in reasons(after_a_change_of("database-dsn", monkeypatch))
    )


def test_an_update_that_changes_no_secret_replaces_no_node():
    _, again = deploy(lambda: runpy.run_path(str(ROOT / "__main__.py")), config=changed({}))
    assert not compare(recorded("prod"), again).items


def test_a_preview_of_a_first_deployment_does_not_know_the_versions_yet():
    """AWS assigns the version ids: everything else about the launch templates is known."""
    for template in recorded("prod", preview=True).of_type(TEMPLATE):
        assert template.inputs["userData"] != UNKNOWN


def test_the_versions_that_nodes_are_tagged_with_are_those_of_the_current_values():
    recording = recorded("prod")
    versions = {version.name: version.outputs["versionId"] for version in recording.of_type(SECRET_VERSION)}
    for template in recording.of_type(TEMPLATE):
        [tags] = [spec["tags"] for spec in template.inputs["tagSpecifications"] if spec["resourceType"] == "instance"]
        role = Role(tags["airflow:role"])
        found = {key: value for key, value in tags.items() if key.startswith("airflow:secret:")}
        assert found == {f"airflow:secret:{key}": versions[f"secrets-{key}-value"] for key in role.definition.secrets}
