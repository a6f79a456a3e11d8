"""What the lab asks PostgreSQL and Valkey for."""

from __future__ import annotations

from engine.recording import Recording
from lab.addresses import AddressPlan
from lab.servers import Broker, Database, broker_settings, database_settings, role_statements
from lab.stack import HOSTILE, HOSTILE_TOKEN


def test_the_database_takes_the_programs_parameters_and_leaves_rds_its_own(recording: Recording, plan: AddressPlan):
    lines = database_settings(Database.from_recording(recording, plan.database, "password"))
    assert "timezone = 'UTC'" in lines
    assert [line for line in lines if line.startswith("max_connections = ")]
    assert not [line for line in lines if line.startswith("rds.")], "PostgreSQL itself does not know them"


def test_the_admins_password_survives_its_characters(recording: Recording, plan: AddressPlan):
    database = Database.from_recording(recording, plan.database, HOSTILE)
    assert r"PASSWORD E'p%41@:/#?w& d''" in role_statements(database)
    assert r'"\\$HOME' in role_statements(database)


def test_the_admin_is_no_superuser(recording: Recording, plan: AddressPlan):
    [statement] = [
        line.strip()
        for line in role_statements(Database.from_recording(recording, plan.database, "x")).splitlines()
        if "LOGIN CREATEROLE" in line
    ]
    assert "SUPERUSER" not in statement.split(), "on RDS nobody is; what needs one must fail here too"


def test_the_broker_listens_with_tls_alone_and_wants_the_token(recording: Recording, plan: AddressPlan):
    lines = broker_settings(Broker.from_recording(recording, plan.broker))
    assert "port 0" in lines
    assert "tls-port 6379" in lines
    assert [line for line in lines if line.startswith(f'requirepass "{HOSTILE_TOKEN}')]
    assert "maxmemory-policy noeviction" in lines
