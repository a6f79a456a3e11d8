"""Which release a trigger is loaded from. tests/cluster/test_dag_releases.py has it run in Airflow."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.node.programs import load


class _Runner:
    """Airflow's TriggerRunner: it finds what is installed."""

    def __init__(self) -> None:
        self.trigger_cache: dict[str, Any] = {}

    def get_trigger_by_classpath(self, classpath: str) -> str:
        return f"installed {classpath}"


class _Supervisor:
    """Airflow's TriggerRunnerSupervisor."""

    def _create_workload(self, trigger: Any, **_: Any) -> Any:
        return None if trigger.gone else SimpleNamespace(classpath=trigger.classpath)


class _Bundles:
    """Airflow's manager of bundles, with each version in a folder of its name."""

    folder = Path()
    initialized: tuple[str, ...] = ()

    def get_bundle(self, name: str, version: str | None) -> Any:
        path = self.folder / name / (version or "current")
        return SimpleNamespace(path=path, initialize=lambda: self._note(str(version)))

    def _note(self, version: str) -> None:
        _Bundles.initialized += (version,)


def _import_string(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.fixture
def triggerer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module with stand-ins for Airflow, which only nodes have, and with two releases."""
    for version in ("one", "two", "current"):
        (tmp_path / "dags" / version).mkdir(parents=True)
        (tmp_path / "dags" / version / "release_words.py").write_text(f"WORD = {version!r}\n")
        own = f"class Own:\n    word, late = {version!r}, staticmethod(lambda: release_words.WORD)\n"
        (tmp_path / "dags" / version / "release_trigger.py").write_text(f"import release_words\n{own}")
    monkeypatch.setattr(_Bundles, "folder", tmp_path)
    monkeypatch.setattr(_Bundles, "initialized", ())
    runner = SimpleNamespace(TriggerRunner=_Runner, TriggerRunnerSupervisor=_Supervisor)
    contents: dict[str, dict[str, Any]] = {
        "airflow": {},
        "airflow._shared": {},
        "airflow._shared.module_loading": {"import_string": _import_string},
        "airflow.__main__": {"main": None},
        "airflow.dag_processing": {},
        "airflow.dag_processing.bundles": {},
        "airflow.dag_processing.bundles.manager": {"DagBundlesManager": _Bundles},
        "airflow.jobs": {"triggerer_job_runner": runner},
    }
    for name, content in contents.items():
        stand_in = ModuleType(name)
        vars(stand_in).update(content)
        monkeypatch.setitem(sys.modules, name, stand_in)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("release_trigger", "release_words"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return load("python/node_triggerer.py")


def test_a_trigger_is_that_of_its_runs_release_beside_those_of_other_releases(triggerer: Any):
    runner = triggerer.ReleaseTriggerRunner()
    first = runner.get_trigger_by_classpath("dags|one|release_trigger.Own")
    second = runner.get_trigger_by_classpath("dags|two|release_trigger.Own")
    assert (first.word, first.late()) == ("one", "one")
    assert (second.word, second.late()) == ("two", "two")
    assert runner.get_trigger_by_classpath("dags|one|release_trigger.Own") is first
    assert _Bundles.initialized == ("one", "two"), "each is loaded once"


def test_a_run_without_a_release_gets_the_current_one(triggerer: Any):
    assert triggerer.ReleaseTriggerRunner().get_trigger_by_classpath("dags||release_trigger.Own").word == "current"


@pytest.mark.parametrize("classpath", ["airflow.triggers.temporal.DateTimeTrigger", "own.Trigger"])
def test_what_is_installed_or_belongs_to_no_run_needs_no_release(triggerer: Any, classpath: str):
    given = f"dags|one|{classpath}" if classpath.startswith("airflow.") else classpath
    assert triggerer.ReleaseTriggerRunner().get_trigger_by_classpath(given) == f"installed {classpath}"
    assert _Bundles.initialized == ()


def _task(bundle: str | None, version: str | None) -> SimpleNamespace:
    return SimpleNamespace(
        dag_model=SimpleNamespace(bundle_name=bundle), dag_run=SimpleNamespace(bundle_version=version)
    )


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (_task("dags", "one"), "dags|one|own.Trigger"),
        (_task("dags", None), "dags||own.Trigger"),
        (_task(None, None), "own.Trigger"),
        (None, "own.Trigger"),
    ],
)
def test_the_process_that_runs_triggers_is_told_the_release(triggerer: Any, task: Any, expected: str):
    trigger = SimpleNamespace(gone=False, classpath="own.Trigger", task_instance=task)
    assert triggerer.ReleaseTriggerSupervisor()._create_workload(trigger).classpath == expected


def test_a_trigger_that_is_gone_stays_gone(triggerer: Any):
    trigger = SimpleNamespace(gone=True, classpath="own.Trigger", task_instance=_task("dags", "one"))
    assert triggerer.ReleaseTriggerSupervisor()._create_workload(trigger) is None
