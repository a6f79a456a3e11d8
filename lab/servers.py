"""RDS's and ElastiCache's places: PostgreSQL and Valkey, under the names that AWS would give them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from engine.recording import Recording
from lab import host
from lab.certificates import CertificateAuthority
from lab.namespace import Namespace

DATABASE = "aws:rds/instance:Instance"
BROKER = "aws:elasticache/replicationGroup:ReplicationGroup"
POSTGRES = Path("/usr/lib/postgresql/17/bin")
DATA = "/var/lib/postgresql/lab"
BROKER_HOME = "/var/lib/lab-broker"
BROKER_PID = f"{BROKER_HOME}/valkey.pid"
BROKER_SOCKET = f"{BROKER_HOME}/valkey.sock"
"""The lab's own way in: like its clients, the packet filter takes the broker's address for the broker's."""
SOCKET = "/run/lab-postgresql"
SUPERUSER = "rdsadmin"
"""RDS's own, which nobody but AWS can be."""


class ServerRoot:
    """The servers' root file system, mounted over the image inside the namespace, with what programs in it expect."""

    def __init__(self, namespace: Namespace, image: Path) -> None:
        self._namespace = namespace
        disk = host.DISKS / "servers"
        self.path = disk / "root"
        namespace.run("mkdir", "-p", self.path, disk / "upper", disk / "work")
        layers = f"lowerdir={image},upperdir={disk}/upper,workdir={disk}/work"
        namespace.run("mount", "-t", "overlay", "overlay", "-o", layers, self.path)
        namespace.run("mount", "-t", "proc", "proc", self.path / "proc")
        namespace.run("mount", "--rbind", "/dev", self.path / "dev")
        namespace.run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", self.path / "dev/shm")

    def run(self, user: str, *command: str | Path, text: str = "") -> str:
        """Run a program as `user` to its end; LabError when it fails."""
        return self._namespace.run(*self._chroot(user), *command, text=text)

    def start(self, name: str, user: str, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a server as `user`; its output is kept in the lab's logs."""
        with (host.make_private(host.LOGS) / f"{name}.log").open("ab") as log:
            return self._namespace.start(*self._chroot(user), *command, log=log)

    def write(self, path: str, text: str, *, owner: str = "root:root", mode: str = "0600") -> None:
        """Write a file; nobody but `owner` can read it unless `mode` says so."""
        self.run("root", "sh", "-c", f"umask 077; mkdir -p '{Path(path).parent}'; cat > '{path}'", text=text)
        self.run("root", "sh", "-c", f"chown {owner} '{path}'; chmod {mode} '{path}'")

    def _chroot(self, user: str) -> list[str]:
        # Programs run as root cannot change the clock or the modules of the machine: those are not the lab's.
        drop = "--bounding-set=-sys_time,-sys_module,-sys_boot,-sys_rawio"
        return ["setpriv", drop, "--inh-caps=-all", "chroot", f"--userspec={user}:{user}", str(self.path)]


@dataclass(frozen=True, kw_only=True)
class Database:
    """The metadata database as its clients see it.

    Attributes:
        admin: name of the admin role, which is no superuser, as on RDS.
    """

    name: str
    address: IPv4Address
    port: int
    admin: str
    admin_password: str
    parameters: Mapping[str, str]

    @classmethod
    def from_recording(cls, recording: Recording, address: IPv4Address, admin_password: str) -> Database:
        """What the program asked RDS for."""
        instance = recording.only(DATABASE)
        return cls(
            name=instance.outputs["address"],
            address=address,
            port=instance.outputs["port"],
            admin=instance.inputs["username"],
            admin_password=admin_password,
            parameters=_parameters(
                recording, "aws:rds/parameterGroup:ParameterGroup", instance.inputs["parameterGroupName"]
            ),
        )

    @property
    def managed_secret(self) -> dict[str, str]:
        """What RDS keeps in the secret of its admin."""
        return {"username": self.admin, "password": self.admin_password}


def start_database(root: ServerRoot, database: Database, clients: list[IPv4Network], ca: CertificateAuthority) -> None:
    """Start PostgreSQL: TLS only, passwords only, and an admin with the rights that RDS gives."""
    root.run("root", "install", "-d", "-o", "postgres", "-g", "postgres", "-m", "0700", DATA, SOCKET)
    root.run("postgres", POSTGRES / "initdb", "-D", DATA, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync")
    certificate, key = ca.issue([database.name])
    files = {
        "server.crt": certificate,
        "server.key": key,
        # RDS's own superuser comes in by the socket alone, which is inside the lab.
        "pg_hba.conf": "".join(
            [f"local all {SUPERUSER} trust\n", *(f"hostssl all all {network} scram-sha-256\n" for network in clients)]
        ),
        "postgresql.conf": "\n".join(database_settings(database)) + "\n",
    }
    for name, text in files.items():
        root.write(f"{DATA}/{name}", text, owner="postgres:postgres")
    run_database(root)
    psql = (POSTGRES / "psql", "-XqU", SUPERUSER, "-h", SOCKET, "-d", "postgres", "-v", "ON_ERROR_STOP=1")
    root.run("postgres", *psql, text=role_statements(database))


def run_database(root: ServerRoot) -> None:
    """Let PostgreSQL run with the data that are there, and wait until it answers."""
    root.start("postgresql", "postgres", POSTGRES / "postgres", "-D", DATA)
    ask = f"{POSTGRES}/pg_isready --quiet --username={SUPERUSER} --dbname=postgres --host={SOCKET}"
    root.run("postgres", "sh", "-c", f"for _ in $(seq 150); do {ask} && exit; sleep 0.1; done; exit 1")


def database_settings(database: Database) -> list[str]:
    """The lines of postgresql.conf."""
    settings = {
        "listen_addresses": str(database.address),
        "port": str(database.port),
        "unix_socket_directories": SOCKET,
        "ssl": "on",
        "fsync": "off",  # the data live as long as the lab
        **{key: value for key, value in database.parameters.items() if not key.startswith("rds.")},
    }
    quoted = {key: value.replace("'", "''") for key, value in settings.items()}
    return [f"{key} = '{value}'" for key, value in quoted.items()]


def role_statements(database: Database) -> str:
    """RDS's roles: its admin may make roles and databases, owns the ones that are there, and is no superuser."""
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


@dataclass(frozen=True, kw_only=True)
class Broker:
    """The Celery broker as its clients see it."""

    name: str
    address: IPv4Address
    port: int
    token: str
    parameters: Mapping[str, str]

    @classmethod
    def from_recording(cls, recording: Recording, address: IPv4Address) -> Broker:
        """What the program asked ElastiCache for."""
        group = recording.only(BROKER)
        return cls(
            name=group.outputs["primaryEndpointAddress"],
            address=address,
            port=group.outputs["port"],
            token=group.inputs["authToken"],
            parameters=_parameters(
                recording, "aws:elasticache/parameterGroup:ParameterGroup", group.inputs["parameterGroupName"]
            ),
        )


def start_broker(root: ServerRoot, broker: Broker, ca: CertificateAuthority) -> None:
    """Start Valkey: TLS only, and nothing without the token."""
    root.run("root", "install", "-d", "-o", "valkey", "-g", "valkey", "-m", "0700", BROKER_HOME)
    certificate, key = ca.issue([broker.name])
    files = {"server.crt": certificate, "server.key": key, "valkey.conf": "\n".join(broker_settings(broker)) + "\n"}
    for name, text in files.items():
        root.write(f"{BROKER_HOME}/{name}", text, owner="valkey:valkey")
    run_broker(root)


def run_broker(root: ServerRoot) -> None:
    """Let Valkey run with what it finds in its directory."""
    root.start("valkey", "valkey", "valkey-server", f"{BROKER_HOME}/valkey.conf")


def broker_settings(broker: Broker) -> list[str]:
    """The lines of valkey.conf."""
    token = broker.token.replace("\\", "\\\\").replace('"', '\\"')
    return [
        f"bind {broker.address}",
        "port 0",
        f"tls-port {broker.port}",
        f"tls-cert-file {BROKER_HOME}/server.crt",
        f"tls-key-file {BROKER_HOME}/server.key",
        "tls-auth-clients no",
        f'requirepass "{token}"',
        'save ""',
        "appendonly no",
        f"dir {BROKER_HOME}",
        f"pidfile {BROKER_PID}",
        f"unixsocket {BROKER_SOCKET}",
        "unixsocketperm 700",
        *(f"{key} {value}" for key, value in broker.parameters.items()),
    ]


def _parameters(recording: Recording, type_: str, name: str) -> dict[str, str]:
    """The parameters of the group of this name."""
    group = next(group for group in recording.of_type(type_) if group.outputs["name"] == name)
    listed: list[Mapping[str, Any]] = group.inputs.get("parameters", [])
    return {parameter["name"]: parameter["value"] for parameter in listed}
