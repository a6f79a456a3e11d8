from __future__ import annotations

from node.roles import BOOTSTRAP_SECRETS, SECRET_KEYS_BY_ROLE, SECRETS, Role


def test_a_worker_reads_neither_the_dsn_nor_the_fernet_key_nor_what_signs_logins_and_tokens():
    forbidden = {"database-dsn", "fernet-key", "jwt-secret-key", "flask-secret-key", "admin-password", "database-admin"}
    assert not forbidden & set(SECRET_KEYS_BY_ROLE[Role.WORKER]), "a worker runs other people's code"


def test_the_services_of_a_master_never_get_the_secrets_of_the_database_step():
    assert not set(SECRETS[Role.MASTER]) & set(BOOTSTRAP_SECRETS[Role.MASTER])


def test_a_role_may_read_each_secret_that_its_node_fetches():
    for role in Role:
        assert set(SECRET_KEYS_BY_ROLE[role]) == set(SECRETS[role]) | set(BOOTSTRAP_SECRETS[role])
