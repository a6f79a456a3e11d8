from __future__ import annotations

import pytest

from node.roles import DEFINITIONS, MASTERS, NodeGroup, Role, worker_group
from node.rootfs import ROOTFS, files_for
from tests.node.programs import load, module

every_role = pytest.mark.parametrize("role", Role)


def _units(role: Role) -> set[str]:
    """The units that the role's target starts."""
    [target] = [file for file in files_for(role) if file.path.endswith("/airflow-node.target")]
    [wanted] = [line for line in target.content.decode().splitlines() if line.startswith("Wants=")]
    return set(wanted.removeprefix("Wants=").split())


def _supervisors(role: Role) -> list[str]:
    supervisor = role.definition.supervisor
    return [supervisor] if supervisor else []


def test_every_role_has_a_definition():
    assert set(DEFINITIONS) == set(Role)


@every_role
def test_a_node_starts_the_services_of_its_role_and_no_other_that_stays(role: Role):
    definition = role.definition
    services = {f"airflow-{name}.service" for name in (*definition.services, *_supervisors(role))}
    started = {unit for unit in _units(role) if unit.endswith(".service")}
    assert started == services | {"airflow-in-service.service"}


@every_role
def test_each_service_and_step_of_a_role_is_a_unit_of_its_layers(role: Role):
    definition = role.definition
    paths = {file.path for file in files_for(role)}
    for name in (*definition.services, *_supervisors(role), *definition.boot_steps):
        assert f"/etc/systemd/system/airflow-{name}.service" in paths


def test_every_layer_belongs_to_a_role():
    used = {layer for role in Role for layer in role.definition.layers}
    assert {path.name for path in ROOTFS.iterdir()} == used


def test_a_worker_reads_neither_the_dsn_nor_the_fernet_key_nor_what_signs_logins_and_tokens():
    forbidden = {"database-dsn", "fernet-key", "jwt-secret-key", "flask-secret-key", "admin-password", "database-admin"}
    assert not forbidden & set(Role.WORKER.definition.secret_keys), "a worker runs other people's code"


@every_role
def test_the_services_of_a_role_never_get_the_secrets_of_the_database_step(role: Role):
    assert not set(role.definition.secrets) & set(role.definition.bootstrap_secrets)


def test_groups_are_named_after_their_role_or_worker_pool():
    assert MASTERS.name("airflow-prod") == "airflow-prod-masters"
    assert worker_group("heavy").name("airflow-prod") == "airflow-prod-pool-heavy"


@pytest.mark.parametrize(("role", "pool"), [(Role.MASTER, "heavy"), (Role.WORKER, None)])
def test_only_a_role_in_worker_pools_has_a_group_with_a_pool(role: Role, pool: str | None):
    with pytest.raises(ValueError, match=f"Role {role}"):
        NodeGroup(role, pool)


def test_the_services_that_a_master_watches_are_those_of_its_role():
    names = module("health.services").NAMES
    assert set(names) == set(Role.MASTER.definition.services)
    assert load("renew-secrets").OTHERS[-1] == f"airflow-{Role.MASTER.definition.supervisor}.service"
