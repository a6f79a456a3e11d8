from __future__ import annotations

import runpy
import sys
from types import ModuleType
from typing import Any

import pytest

from node.roles import Role
from tests.node.programs import program_path

FILE = program_path("python/webserver_config.py")
BROKER_URL = "rediss://:p%2Fw@broker:6379/0"


@pytest.fixture(autouse=True)
def appbuilder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one constant of Flask AppBuilder, which only nodes have."""
    const = ModuleType("flask_appbuilder.const")
    const.AUTH_DB = 1  # ty: ignore[missing-attribute]
    monkeypatch.setitem(sys.modules, "flask_appbuilder", ModuleType("flask_appbuilder"))
    monkeypatch.setitem(sys.modules, "flask_appbuilder.const", const)


def config(monkeypatch: pytest.MonkeyPatch, role: Role) -> dict[str, Any]:
    """The environment in which the services of the role run; each secret's value is its key."""
    for key, variable in role.definition.secrets.items():
        monkeypatch.setenv(variable, BROKER_URL if key == "broker-url" else key)
    return runpy.run_path(str(FILE))


def test_the_ui_signs_with_a_key_that_no_worker_has(monkeypatch: pytest.MonkeyPatch):
    key = config(monkeypatch, Role.MASTER)["SECRET_KEY"]
    assert key in Role.MASTER.definition.secrets
    assert key not in Role.WORKER.definition.secrets


def test_without_that_key_the_server_does_not_start(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(KeyError, match="FLASK_SECRET_KEY"):
        config(monkeypatch, Role.WORKER)


def test_login_attempts_are_counted_in_the_brokers_redis(monkeypatch: pytest.MonkeyPatch):
    assert config(monkeypatch, Role.MASTER)["RATELIMIT_STORAGE_URI"] == "rediss://:p%2Fw@broker:6379/1"
