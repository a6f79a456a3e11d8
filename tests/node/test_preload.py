from __future__ import annotations

import gc
import sys
from types import ModuleType, SimpleNamespace

import pytest

from tests.node.programs import load

MODULES = (
    "airflow.dag_processing.dagbag",
    "airflow.sdk.api.client",
    "airflow.sdk.definitions.decorators",
    "airflow.sdk.execution_time.task_runner",
    "release_bundle",
    "sqlalchemy.orm",
    "task_logs",
)

preload = load("python/preload.py")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has been loaded. The modules are substitutes for Airflow's, which is installed on nodes only."""
    done: list[str] = []
    names = {name.rsplit(".", count)[0] for name in MODULES for count in range(name.count(".") + 1)}
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    client = lambda: done.append("client of S3")  # noqa: E731
    monkeypatch.setattr(sys.modules["task_logs"], "s3", client, raising=False)
    mappers = lambda: done.append("mappers")  # noqa: E731
    monkeypatch.setattr(sys.modules["sqlalchemy.orm"], "configure_mappers", mappers, raising=False)

    def execution_api(**_: str) -> SimpleNamespace:
        done.append("client of the API")
        return SimpleNamespace(close=lambda: done.append("closed"))

    monkeypatch.setattr(sys.modules["airflow.sdk.api.client"], "Client", execution_api, raising=False)
    return done


def test_celerys_main_process_configures_airflows_models_and_makes_clients(
    done: list[str], caplog: pytest.LogCaptureFixture
):
    with caplog.at_level("INFO"):
        preload.worker_init.send(sender=None)
    assert done == ["mappers", "client of S3", "client of the API", "closed"]
    assert "Loaded for all supervisors" in caplog.text


def test_a_worker_starts_although_nothing_can_be_loaded(
    done: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "airflow.sdk.execution_time.task_runner", None)
    preload.worker_init.send(sender=None)
    assert done == []
    assert "each supervisor will load it at its first task" in caplog.text


def test_a_supervisor_never_examines_what_it_has_from_the_main_process():
    assert gc.get_freeze_count() == 0
    try:
        preload.worker_process_init.send(sender=None)
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
