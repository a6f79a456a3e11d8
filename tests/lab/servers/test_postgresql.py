"""RDS's server: its configuration and its roles."""

from __future__ import annotations

from ipaddress import IPv4Address

from engine.recording import Recording
from lab.servers.postgresql import Database, role_statements, settings
from lab.stack import HOSTILE

ADDRESS = IPv4Address("10.80.27.246")


def test_postgresql_gets_the_programs_parameters_but_none_of_rds_itself(recording: Recording):
    database = Database.from_recording(recording, ADDRESS, "password")
    lines = settings(database)
    assert [key for key in database.parameters if key.startswith("rds.")]
    assert "timezone = 'UTC'" in lines
    assert [line for line in lines if line.startswith("max_connections = ")]
    assert not [line for line in lines if line.startswith("rds.")], "PostgreSQL itself does not have them"


def test_the_admins_password_survives_its_characters(recording: Recording):
    database = Database.from_recording(recording, ADDRESS, HOSTILE)
    assert r"PASSWORD E'p%41@:/#?w& d''" in role_statements(database)
    assert r'"\\$HOME' in role_statements(database)


def test_the_admin_is_no_superuser(recording: Recording):
    [statement] = [
        line.strip()
        for line in role_statements(Database.from_recording(recording, ADDRESS, "x")).splitlines()
        if "LOGIN CREATEROLE" in line
    ]
    assert "SUPERUSER" not in statement.split(), "RDS gives it to no role; what needs it must fail here too"
