"""No secret is where somebody could find it: on no disk, in no journal, argument, unit or user data."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lab.cluster import Cluster
from lab.node import Node
from node.roles import Role
from node.user_data import decode
from tests.cluster.conftest import FinishedRun
from tests.cluster.worker_pools import set_workers

SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"


def _secrets(cluster: Cluster) -> Iterator[str]:
    """Of each value the last sixteen letters and digits, which no quoting changes, in whatever file or language.

    The lab's hostile passwords end on such; so does the password within a URL. The pointer to the admin's secret is no
    secret itself.
    """
    for version in cluster.recording.of_type(SECRET_VERSION):
        if version.name.endswith("database-admin-value"):
            continue
        value = version.inputs["secretString"]
        yield _tail(urlsplit(value).password or value if "://" in value else value)
    yield _tail(cluster.infrastructure.postgresql.database.admin_password)


def _tail(value: str) -> str:
    tail = value.rstrip("=")[-16:]
    assert re.fullmatch(r"[\w-]{16}", tail), "the search needs an end that no quoting changes"
    return tail


@pytest.fixture(scope="module")
def needle(cluster: Cluster, everything: FinishedRun) -> re.Pattern[bytes]:
    """Finds any secret."""
    assert everything.state == "success", "what could leak a secret must have used it before the search"
    set_workers(cluster, default=1, heavy=1)  # none leaves during the search
    return re.compile(b"|".join(re.escape(value.encode()) for value in sorted(set(_secrets(cluster)))))


def _files(node: Node) -> Iterator[Path]:
    # Unlike rglob, os.walk does not mind a directory that is removed meanwhile.
    found = (Path(folder, name) for folder, _, names in os.walk(node.disk) for name in names)
    return (path for path in found if path.is_file() and not path.is_symlink())


def _content(path: Path) -> bytes:
    """A file of a node that is at work may vanish."""
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


def test_the_search_finds_each_secret_where_it_has_to_be(cluster: Cluster, needle: re.Pattern[bytes]) -> None:
    for role in Role:
        for node in cluster.nodes(role=role):
            held = node.exec("cat /run/airflow/secrets.env").stdout
            assert len(set(needle.findall(held.encode()))) == len(role.definition.secrets), node.name
    assert any(path.name == "airflow.env" for path in _files(cluster.nodes()[0])), "the search must see the disk"


def test_no_secret_stands_in_user_data(cluster: Cluster, needle: re.Pattern[bytes]) -> None:
    for node in cluster.nodes():
        assert not needle.search(base64.b64decode(node.instance.user_data)), node.name
        for path, content in decode(node.instance.user_data).items():
            assert not needle.search(content.encode()), f"{node.name}: {path}"


def test_no_file_on_a_nodes_disk_holds_a_secret(cluster: Cluster, needle: re.Pattern[bytes]) -> None:
    """Whatever its mode: a snapshot of the volume, or the next program that runs as root, reads them all."""
    for node in cluster.nodes():
        found = [str(path) for path in _files(node) if needle.search(_content(path))]
        assert found == [], node.name


def test_secrets_in_memory_are_readable_by_root_alone(cluster: Cluster, needle: re.Pattern[bytes]) -> None:
    for node in cluster.nodes():
        readable = node.exec(
            r"find /run /tmp /dev/shm -xdev -type f -perm /o=r -exec cat {} + 2>/dev/null", user="nobody"
        ).stdout
        assert not needle.search(readable.encode()), node.name
        listed = node.exec("stat --format='%a %U %n' /run/airflow/*.env").stdout.splitlines()
        has_secrets = Role(node.instance.tags["airflow:role"]).definition.secrets
        assert bool(listed) == bool(has_secrets), f"{node.name}: the services' secrets should be in /run/airflow"
        assert all(line.startswith("600 root ") for line in listed), listed


@pytest.mark.parametrize(
    "look",
    [
        pytest.param("systemctl show '*' --all", id="the properties of units"),
        pytest.param("cat /proc/[0-9]*/cmdline | tr '\\0' ' '", id="the arguments of processes"),
        pytest.param("journalctl --boot --no-pager --all --output=export", id="the journal"),
        pytest.param("cat /var/log/cloud-init*.log", id="the logs of cloud-init"),
    ],
)
def test_no_secret_stands_in(cluster: Cluster, needle: re.Pattern[bytes], look: str) -> None:
    for node in cluster.nodes():
        shown = node.exec(look).stdout
        assert len(shown) > 100, f"{node.name}: there was nothing to look at"
        leak = needle.search(shown.encode())
        assert not leak, f"{node.name}: a secret stands at character {leak and leak.start()}"


def test_the_database_admins_password_is_gone_once_the_database_is_prepared(cluster: Cluster) -> None:
    for node in cluster.nodes(role="master"):
        admin = _tail(cluster.infrastructure.postgresql.database.admin_password)
        environments = node.exec("cat /run/airflow/*.env /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'").stdout
        assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in environments, "the look itself must work"
        assert admin not in environments, node.name
