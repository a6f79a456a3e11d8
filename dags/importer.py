"""Imports every DAG file of a folder as a DAG processor does. Runs in the nodes' environment, without this program.

    python -P importer.py FOLDER RESULT

Each file is imported in a process of its own: it may end that process, hang, or change what others would import. The
plugins are loaded before, as the nodes' services do when they start.
RESULT becomes a JSON object: `plugins`, an error for each plugin that cannot be loaded, and `files`, an object for each
file, see `_parse`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PROGRESS_SECONDS = 5.0
ALL_PLUGINS = "one of the plugins"


def main() -> None:
    """Import all files, as many at a time as there are cores."""
    folder, result = Path(sys.argv[1]), Path(sys.argv[2])
    import airflow.dag_processing.processor  # noqa: F401 - once, before the forks # ty: ignore[import-not-found]
    from airflow import plugins_manager  # ty: ignore[import-not-found]
    from airflow.configuration import conf  # ty: ignore[import-not-found]
    from airflow.utils.file import list_py_file_paths  # ty: ignore[import-not-found]

    limit = conf.getint("dag_processor", "dag_file_processor_timeout")
    files = sorted(list_py_file_paths(folder))
    with tempfile.TemporaryDirectory() as scratch:
        plugins = _try_plugins(Path(scratch, "plugins"), limit)
        found = {"plugins": plugins.get("errors", {ALL_PLUGINS: plugins.get("error")}), "files": []}
        if "errors" in plugins:  # otherwise they would end each file's process as well
            plugins_manager.ensure_plugins_loaded()
            found["files"] = _run(files, folder, Path(scratch), limit)
    result.write_text(json.dumps(found))


def _try_plugins(result: Path, limit: float) -> dict[str, Any]:
    """Load the plugins in a process of their own: the `errors` of each, or the `error` that ended the process."""
    process = multiprocessing.get_context("fork").Process(target=_child, args=(result, _load_plugins))
    process.start()
    process.join(limit)
    return _outcome(process, result, limit)


def _load_plugins() -> dict[str, Any]:
    """Load them, and use what services use of them when they start."""
    from airflow import plugins_manager  # ty: ignore[import-not-found]
    from airflow.listeners.listener import get_listener_manager  # ty: ignore[import-not-found]

    errors = dict(plugins_manager.get_import_errors())
    try:
        plugins_manager.get_plugin_info()
        plugins_manager.get_timetables_plugins()
        plugins_manager.get_priority_weight_strategy_plugins()
        get_listener_manager()
    except Exception as error:  # noqa: BLE001 - any error would end the service
        errors[ALL_PLUGINS] = "".join(traceback.format_exception_only(error))
    return {"errors": errors}


def _run(files: list[str], folder: Path, scratch: Path, limit: float) -> list[dict[str, Any]]:
    fork = multiprocessing.get_context("fork")
    waiting, done = list(enumerate(files)), list[dict[str, Any]]()
    running: dict[int, tuple[int, BaseProcess, float]] = {}
    said = time.monotonic()
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            number, file = waiting.pop(0)
            process = fork.Process(target=_child, args=(scratch / str(number), _parse, file, folder))
            process.start()
            running[process.sentinel] = (number, process, time.monotonic() + limit)
        wait(list(running), timeout=max(0.0, min(deadline for _, _, deadline in running.values()) - time.monotonic()))
        for sentinel, (number, process, deadline) in list(running.items()):
            if process.is_alive() and time.monotonic() < deadline:
                continue
            path = os.path.relpath(files[number], folder)
            done.append({"path": path, "dags": [], "warnings": []} | _outcome(process, scratch / str(number), limit))
            del running[sentinel]
        if time.monotonic() - said > PROGRESS_SECONDS:
            said = time.monotonic()
            sys.stderr.write(f"\n  {len(done)} of {len(files)} files")
            sys.stderr.flush()
    return sorted(done, key=lambda each: each["path"])


def _outcome(process: BaseProcess, result: Path, limit: float) -> dict[str, Any]:
    """What a process has found out, or how it ended."""
    if process.is_alive():
        process.kill()
        process.join()
        return {"error": f"It took more than {limit:.0f} s, the nodes' dag_file_processor_timeout.", "seconds": limit}
    process.join()
    if result.exists():
        return json.loads(result.read_text())
    code = process.exitcode or 0
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return {"error": f"It ended the process that imports it ({how}).", "seconds": 0.0}


def _child(result: Path, work: Callable[..., dict[str, Any]], *arguments: Any) -> None:
    # What DAGs and plugins print is not what this program has to say.
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    started = time.monotonic()
    found: dict[str, Any]
    try:
        found = work(*arguments)
    except BaseException as error:  # noqa: BLE001 - such as SystemExit, which ends a DAG processor's process too
        found = {"error": "".join(traceback.format_exception_only(error))}
    found["seconds"] = time.monotonic() - started
    new = result.with_suffix(".new")
    new.write_text(json.dumps(found))
    new.rename(result)


def _parse(file: str, folder: Path) -> dict[str, Any]:
    """The file's import error or None, its DAGs with the queues of their tasks, and Airflow's warnings about it."""
    import structlog  # ty: ignore[import-not-found]
    from airflow.configuration import conf  # ty: ignore[import-not-found]
    from airflow.dag_processing.processor import DagFileParseRequest, _parse_file  # ty: ignore[import-not-found]

    request = DagFileParseRequest(file=file, bundle_path=folder, bundle_name="dags")
    parsed = _parse_file(request, structlog.get_logger())
    if parsed is None:
        raise TypeError("Airflow has not parsed the file")
    default = conf.get("operators", "default_queue")
    dags = [each.data["dag"] for each in parsed.serialized_dags]
    return {
        "error": "\n".join((parsed.import_errors or {}).values()) or None,
        "warnings": [warning["message"] for warning in parsed.warnings or []],
        "dags": [
            {
                "id": dag["dag_id"],
                "queues": {task["__var"]["task_id"]: task["__var"].get("queue", default) for task in dag["tasks"]},
            }
            for dag in dags
        ],
    }


if __name__ == "__main__":
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"  # as in a DAG processor's children: no access to the database
    main()
