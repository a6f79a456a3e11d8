"""Airflow's triggerer, for triggers in releases: `python -m node_triggerer` is `airflow triggerer`.

Airflow's own finds installed triggers only. This one looks for the others in the release of their task's run.
"""

from __future__ import annotations

import sys
from typing import Any

from airflow.__main__ import main as airflow  # ty: ignore[import-not-found]

# Airflow is installed only on nodes.
from airflow._shared.module_loading import import_string  # ty: ignore[import-not-found]
from airflow.dag_processing.bundles.manager import DagBundlesManager  # ty: ignore[import-not-found]
from airflow.jobs import triggerer_job_runner  # ty: ignore[import-not-found]

SEPARATOR = "|"
INSTALLED = "airflow."


class ReleaseTriggerRunner(triggerer_job_runner.TriggerRunner):
    """The process in which triggers run.

    Triggers of different releases run side by side, each with the modules that it imported when it was loaded. What a
    trigger imports later comes from the release that was used last.
    """

    bundle: Any = None

    def get_trigger_by_classpath(self, classpath: str) -> type[Any]:
        """The class, which may be preceded by a bundle and a release."""
        bundle, version, name = classpath.rsplit(SEPARATOR, 2) if SEPARATOR in classpath else ("", "", classpath)
        if not bundle or name.startswith(INSTALLED):
            return super().get_trigger_by_classpath(name)
        if classpath not in self.trigger_cache:
            self._enter(bundle, version)
            self.trigger_cache[classpath] = import_string(name)
        return self.trigger_cache[classpath]

    def _enter(self, name: str, version: str) -> None:
        """Import from this release, and no longer from the one before it."""
        bundle = DagBundlesManager().get_bundle(name=name, version=version or None)
        bundle.initialize()
        if self.bundle is not None and self.bundle.path != bundle.path:
            old = str(self.bundle.path)
            sys.path.remove(old)
            for module in [key for key, found in sys.modules.items() if _is_in(found, old)]:
                del sys.modules[module]
        if str(bundle.path) not in sys.path:
            sys.path.append(str(bundle.path))
        # Also keeps the release on this node.
        self.bundle = bundle


class ReleaseTriggerSupervisor(triggerer_job_runner.TriggerRunnerSupervisor):
    """Tells that process the release of each trigger's run, which only the database knows."""

    @classmethod
    def run_in_process(cls) -> None:
        """Run triggers."""
        ReleaseTriggerRunner().run()

    def _create_workload(self, trigger: Any, **arguments: Any) -> Any:
        workload = super()._create_workload(trigger=trigger, **arguments)
        if workload is not None and (task := trigger.task_instance) is not None and task.dag_model.bundle_name:
            place = (task.dag_model.bundle_name, task.dag_run.bundle_version or "", workload.classpath)
            workload.classpath = SEPARATOR.join(place)
        return workload


def _is_in(module: Any, folder: str) -> bool:
    return str(getattr(module, "__file__", None) or "").startswith(f"{folder}/")


def main() -> None:
    """Run the command with this class in the place of its own."""
    triggerer_job_runner.TriggerRunnerSupervisor = ReleaseTriggerSupervisor
    sys.argv = ["airflow", "triggerer"]
    airflow()


if __name__ == "__main__":
    main()
