from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from node.roles import Role
from tests.node import node_root
from tests.node.programs import load, program_path


class _ExecutionApi:
    """Like Cadwyn's application, it is built by its first call."""

    def __init__(self) -> None:
        self.built = False

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        assert (await receive())["type"] == "http.request"
        self.built = True
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def execution_api(monkeypatch: pytest.MonkeyPatch) -> _ExecutionApi:
    """A substitute for Airflow, which is installed on nodes only, with this execution API."""
    api = _ExecutionApi()
    modules = {name: ModuleType(name) for name in ("airflow", "airflow.api_fastapi")}
    modules["airflow.api_fastapi.gunicorn_app"] = ModuleType("airflow.api_fastapi.gunicorn_app")
    modules["airflow.api_fastapi.main"] = ModuleType("airflow.api_fastapi.main")
    monkeypatch.setattr(modules["airflow.api_fastapi.gunicorn_app"], "AirflowUvicornWorker", object, raising=False)
    modules["node_secrets"] = ModuleType("node_secrets")
    backend = SimpleNamespace(retried=False)
    monkeypatch.setattr(modules["node_secrets"], "CachedSecretsBackend", backend, raising=False)
    routes = [SimpleNamespace(path="/auth", app=None), SimpleNamespace(path="/execution", app=api)]
    monkeypatch.setattr(modules["airflow.api_fastapi.main"], "app", SimpleNamespace(routes=routes), raising=False)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return api


def test_the_execution_api_is_built_before_gunicorn_forks_its_workers(execution_api: _ExecutionApi):
    """gunicorn calls `setup` when it looks the class up."""
    load("python/node_api_server.py").Worker.setup()
    assert execution_api.built


@pytest.mark.usefixtures("execution_api")
def test_a_task_repeats_a_lookup_while_secrets_manager_does_not_answer():
    load("python/node_api_server.py").Worker.setup()
    assert sys.modules["node_secrets"].CachedSecretsBackend.retried


def test_the_api_servers_unit_has_gunicorn_fork_workers_of_that_class(tmp_path_factory: pytest.TempPathFactory):
    root = node_root.build(tmp_path_factory.mktemp("master"), Role.MASTER)
    settings = node_root.settings(root, "airflow-api-server.service")
    assert settings["Environment"] == ["GUNICORN_CMD_ARGS=--worker-class=node_api_server.Worker"]
    assert program_path("python/node_api_server.py").exists()
