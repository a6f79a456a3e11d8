"""RDS: PostgreSQL with the program's parameters, TLS only, and an admin with the rights that RDS gives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from engine.recording import Recording
from lab.aws.account import DATABASE
from lab.network import HOST_END
from lab.servers.server import Endpoint, Server, Site, parameters
from lab.stack import hostile_admin_password

SUBNET_GROUP = "aws:rds/subnetGroup:SubnetGroup"
PARAMETER_GROUP = "aws:rds/parameterGroup:ParameterGroup"
PLACE = 10
"""How far below the end of its subnet its address is."""
PROGRAMS = Path("/usr/lib/postgresql/17/bin")
DATA = "/var/lib/postgresql/lab"
SOCKET = "/run/lab-postgresql"
SUPERUSER = "rdsadmin"
"""The superuser of RDS itself, as whom only AWS can log in."""


@dataclass(frozen=True, kw_only=True)
class Database:
    """The metadata database as its clients see it.

    Attributes:
        admin: the name of the admin role, which is not a superuser, as on RDS.
    """

    name: str
    address: IPv4Address
    port: int
    admin: str
    admin_password: str
    parameters: Mapping[str, str]

    @classmethod
    def from_recording(cls, recording: Recording, address: IPv4Address, admin_password: str) -> Database:
        """The database that the program creates in RDS."""
        instance = recording.only(DATABASE)
        return cls(
            name=instance.outputs["address"],
            address=address,
            port=instance.outputs["port"],
            admin=instance.inputs["username"],
            admin_password=admin_password,
            parameters=parameters(recording, PARAMETER_GROUP, instance.inputs["parameterGroupName"]),
        )


class PostgreSQL(Server):
    """The metadata database's server."""

    name = "postgresql"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._instance = site.recording.only(DATABASE)
        subnet = site.plan.first_subnet(site.recording, SUBNET_GROUP, self._instance.inputs["dbSubnetGroupName"])
        self.database = Database.from_recording(site.recording, subnet.cidr[-PLACE], hostile_admin_password())

    def endpoints(self) -> Sequence[Endpoint]:
        groups = tuple(self._instance.inputs["vpcSecurityGroupIds"])
        return [Endpoint(address=self.database.address, names=(self.database.name,), security_groups=groups)]

    def secrets(self) -> Mapping[str, str]:
        value = json.dumps({"username": self.database.admin, "password": self.database.admin_password})
        return {secret["secretArn"]: value for secret in self._instance.outputs["masterUserSecrets"]}

    def install(self) -> None:
        root = self.site.root
        root.run("root", "install", "-d", "-o", "postgres", "-g", "postgres", "-m", "0700", DATA, SOCKET)
        initdb = (PROGRAMS / "initdb", "-D", DATA, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync")
        root.run("postgres", *initdb)
        certificate, key = self.site.authority.issue([self.database.name])
        files = {
            "server.crt": certificate,
            "server.key": key,
            "pg_hba.conf": "\n".join(access_rules([self.site.plan.vpc, IPv4Network(HOST_END)])) + "\n",
            "postgresql.conf": "\n".join(settings(self.database)) + "\n",
        }
        for name, text in files.items():
            root.write(f"{DATA}/{name}", text, owner="postgres:postgres")
        single_user = (PROGRAMS / "postgres", "--single", "-D", DATA, "-c", "exit_on_error=on", "postgres")
        root.run("postgres", *single_user, text=role_statements(self.database))

    def command(self) -> Sequence[str | Path]:
        return self.site.root.command("postgres", PROGRAMS / "postgres", "-D", DATA)

    def check(self) -> None:
        ready = (PROGRAMS / "pg_isready", f"--username={SUPERUSER}", "--dbname=postgres", f"--host={SOCKET}")
        self.site.root.run("postgres", *ready)

    def stop(self) -> None:
        """Inject a fault: close all connections and shut down, as RDS does for its maintenance."""
        self.site.root.run("postgres", PROGRAMS / "pg_ctl", "stop", "-D", DATA, "-m", "fast", "-w")


def access_rules(clients: Sequence[IPv4Network]) -> list[str]:
    """The lines of pg_hba.conf: TLS and a password for clients; the superuser only by the socket, inside the lab."""
    return [f"local all {SUPERUSER} trust", *(f"hostssl all all {network} scram-sha-256" for network in clients)]


def settings(database: Database) -> list[str]:
    """The lines of postgresql.conf."""
    values = {
        "listen_addresses": str(database.address),
        "port": str(database.port),
        "unix_socket_directories": SOCKET,
        "ssl": "on",
        "fsync": "off",  # the data live as long as the lab
        **{key: value for key, value in database.parameters.items() if not key.startswith("rds.")},
    }
    quoted = {key: value.replace("'", "''") for key, value in values.items()}
    return [f"{key} = '{value}'" for key, value in quoted.items()]


def role_statements(database: Database) -> str:
    """RDS's roles: its admin may create roles and databases, owns the existing ones, and is not a superuser.

    One statement on each line, as PostgreSQL's single-user mode reads them.
    """
    return f"""
        CREATE ROLE rds_superuser NOLOGIN;
        GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION;
        CREATE ROLE {database.admin} LOGIN CREATEROLE CREATEDB PASSWORD {_literal(database.admin_password)};
        GRANT rds_superuser TO {database.admin};
        ALTER DATABASE postgres OWNER TO {database.admin};
        ALTER DATABASE template1 OWNER TO {database.admin};
    """


def _literal(text: str) -> str:
    """Text as a literal of SQL."""
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{quoted}'"
