"""Finds what would keep a release's DAGs from working: imports them in the nodes' environment, without a network."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_node.dag_release import unpack

from dags.archive import Archive
from dags.environment import python_of_the_nodes
from dags.faults import DagsError
from dags.progress import say, step
from dags.stack import Stack
from node import rootfs
from node.lock import UvIndex

IMPORTER = Path(__file__).with_name("importer.py")

# https://docs.astral.sh/ruff/rules/#airflow-air
REMOVED_RULES = ("AIR301", "AIR302", "AIR303")
DEPRECATED_RULES = ("AIR311", "AIR312")
# A namespace without interfaces. Root needs no user namespace, and some systems allow one to nobody else.
SANDBOXES = (("unshare", "--net"), ("unshare", "--map-current-user", "--net"))
PASSED_ON = ("AIRFLOW_VAR_", "AIRFLOW_CONN_", "LANG", "LC_", "TMPDIR")
SLOWEST_SHOWN = 5
LONGEST_IDS = 650
"""Bytes. The key of an object in S3 has at most 1,024; up to 370 of a log's key are the run's id and other parts."""
NO_DAG = "There is no DAG in it."
LOOKED_UP = ("VARIABLE_NOT_FOUND", "CONNECTION_NOT_FOUND", "AirflowNotFoundException")
LOOKED_UP_HINT = (
    "The check knows no variables and connections. Look them up inside of tasks, where it does not slow down every "
    "parse; or give the check values as AIRFLOW_VAR_<NAME> and AIRFLOW_CONN_<ID>."
)
UNREGISTERED = "is not registered"
UNREGISTERED_HINT = (
    "It has to be in a plugin, in airflow-plugins/ of this repository, and on the nodes before the DAG is published."
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a check has found.

    Attributes:
        faults: what would not work on the nodes, a paragraph each.
        advice: what still works, but not for ever.
        seconds: how long each file takes to parse on this machine.
    """

    faults: tuple[str, ...]
    advice: tuple[str, ...]
    dags: int
    seconds: Mapping[str, float]

    def lines(self) -> Iterator[str]:
        """The report without the faults."""
        yield f"{self.dags} DAGs in {len(self.seconds)} files"
        for path, seconds in sorted(self.seconds.items(), key=lambda item: -item[1])[:SLOWEST_SHOWN]:
            yield f"  {seconds:6.2f} s to parse {path}"
        if self.advice:
            yield "These still work, but a later Airflow will remove them:"
            yield from (f"  {line}" for line in self.advice)


def check(archive: Archive, stack: Stack | None, index: UvIndex) -> Report:
    """Check a release as the nodes would unpack it.

    Without a stack, nothing is known about queues and about Airflow's options. Raises DagsError if the check itself
    cannot run.
    """
    python = python_of_the_nodes(index)
    with tempfile.TemporaryDirectory(prefix="dags-check-") as scratch:
        folder = Path(scratch).resolve() / "dags"
        archive.packed.seek(0)
        unpack(archive.packed, folder, archive.version)
        spellings = list(_spellings(folder))
        misplaced = list(_misplaced_plugins(folder))
        found = _import(python, folder, stack)
    parsed = found["files"]
    return Report(
        faults=(
            *sorted(_plugin_fault(plugin, error) for plugin, error in found["plugins"].items()),
            *(fault for file in parsed if (fault := _import_fault(file, folder))),
            *(spelling for rule, spelling in spellings if rule in REMOVED_RULES),
            *_duplicates(parsed),
            *_too_long(parsed),
            *(_unserved(parsed, stack) if stack else ()),
            *(() if found["plugins"] or any(file["dags"] or file["error"] for file in parsed) else (NO_DAG,)),
        ),
        advice=(
            *(spelling for rule, spelling in spellings if rule in DEPRECATED_RULES),
            *misplaced,
            *(f"{file['path']}: {warning}" for file in parsed for warning in file["warnings"]),
        ),
        dags=sum(len(file["dags"]) for file in parsed),
        seconds={file["path"]: file["seconds"] for file in parsed},
    )


def _import(python: Path, folder: Path, stack: Stack | None) -> dict[str, Any]:
    sandbox, result, home = _sandbox(), folder.parent / "result.json", folder.parent / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    variables = {
        **kept,
        **(stack.options if stack else {}),
        "PATH": os.defpath,
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(rootfs.USER_PLUGINS),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "100",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with step("importing the DAGs as the nodes do"):
        command = [*sandbox, str(python), "-P", str(IMPORTER), str(folder), str(result)]
        done = subprocess.run(
            command, env=variables, cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode or not result.exists():
            raise DagsError(f"The check has failed (exit code {done.returncode}): see above.")
    return json.loads(result.read_text())


def _sandbox() -> Sequence[str]:
    """The command in front of another that takes the network away from it."""
    for sandbox in SANDBOXES:
        try:
            if subprocess.run([*sandbox, "true"], capture_output=True, check=False).returncode == 0:
                return sandbox
        except OSError:
            break
    say("This machine cannot take the network away from the check (unshare is missing or not permitted): DAGs that use")
    say("it while they are imported are not found out.")
    return ()


def _plugin_fault(plugin: str, error: str) -> str:
    name = plugin.replace(f"{rootfs.USER_PLUGINS}/", "").replace("$PLUGINS_FOLDER/", "")
    where = f"{rootfs.USER_PLUGINS.name}/{name}" if name.endswith(".py") else name
    return f"{where} cannot be loaded: {error.strip()}\n    Nodes would run without it."


def _misplaced_plugins(folder: Path) -> Iterator[str]:
    """Plugins in the release, which no process of Airflow looks for."""
    for file in sorted(folder.rglob("*.py")):
        try:
            classes = [node for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.ClassDef)]
        except (SyntaxError, ValueError):
            continue  # which is an import error, if Airflow parses the file
        for plugin in classes:
            if any(ast.unparse(base).endswith("AirflowPlugin") for base in plugin.bases):
                yield (
                    f"{file.relative_to(folder)}:{plugin.lineno}: {plugin.name} is not loaded: plugins are a part of "
                    "the deployment, not of a release. Move it to airflow-plugins/ of this repository."
                )


def _import_fault(file: Mapping[str, Any], folder: Path) -> str | None:
    if file["error"] is None:
        return None
    frames, message = _frames_and_message(file["error"].rstrip().splitlines(), f'  File "{folder}/')
    hint = [LOOKED_UP_HINT] if any(word in file["error"] for word in LOOKED_UP) else []
    hint += [UNREGISTERED_HINT] if UNREGISTERED in file["error"] else []
    details = (line.replace(f"{folder}/", "") for line in (*message[1:], *frames))
    first = message[0].replace(f"{folder}/", "")
    return "\n".join([f"{file['path']} cannot be imported: {first}", *(f"    {line}" for line in (*details, *hint))])


def _frames_and_message(trace: Sequence[str], own: str) -> tuple[list[str], Sequence[str]]:
    """The lines of a traceback about frames in the release, and those of the exception's message."""
    frames, is_own, end = list[str](), False, 0
    for number, line in enumerate(trace):
        if line.startswith('  File "'):
            is_own, end = line.startswith(own), number + 1
        elif end == number and line.startswith("    "):
            end = number + 1
        else:
            is_own = False
        if is_own:
            frames.append(line)
    return frames, trace[end:] or trace[-1:]


def _duplicates(parsed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    files: dict[str, list[str]] = defaultdict(list)
    for file in parsed:
        for dag in file["dags"]:
            files[dag["id"]].append(file["path"])
    for dag_id, paths in sorted(files.items()):
        if len(paths) > 1:
            yield f"The DAG id {dag_id} is in {' and in '.join(paths)}: one would replace the other. Rename one."


def _too_long(parsed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for file in parsed:
        for dag in file["dags"]:
            for task in dag["queues"]:
                size = len(f"{dag['id']}{task}".encode())
                if size > LONGEST_IDS:
                    yield (
                        f"{file['path']}: the ids of the DAG {dag['id']} and its task {task} have {size} bytes "
                        f"together. With more than {LONGEST_IDS}, S3 has no place for the log. Shorten one of them."
                    )


def _unserved(parsed: Sequence[Mapping[str, Any]], stack: Stack) -> Iterator[str]:
    for file in parsed:
        for dag in file["dags"]:
            tasks: dict[str, list[str]] = defaultdict(list)
            for task, queue in dag["queues"].items():
                if queue not in stack.queues:
                    tasks[queue].append(task)
            for queue, names in tasks.items():
                yield (
                    f"{file['path']}: no worker pool serves the queue {queue}, to which {dag['id']} sends "
                    f"{', '.join(names)}: the tasks would wait for ever. Served are {', '.join(sorted(stack.queues))}."
                )


def _spellings(folder: Path) -> Iterator[tuple[str, str]]:
    """Ruff's rule and sentence for each spelling of Airflow 2."""
    rules = ",".join((*REMOVED_RULES, *DEPRECATED_RULES))
    # What Ruff leaves out by default, such as folders named build, Airflow does parse.
    options = ["--isolated", "--no-cache", "--no-respect-gitignore", "--config", "exclude=[]", "--exit-zero"]
    command = ["check", "--quiet", *options, "--select", rules, "--target-version", "py313", "--output-format", "json"]
    ruff = Path(sys.executable).with_name("ruff")
    done = subprocess.run([str(ruff), *command, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DagsError(f"Ruff has failed:\n{done.stderr.strip()}")
    for found in json.loads(done.stdout):
        if found["code"] in (*REMOVED_RULES, *DEPRECATED_RULES):  # a syntax error is an import error as well
            path = Path(found["filename"]).relative_to(folder)
            message = found["message"].split(";")[0].rstrip(". ")
            if found["code"] in DEPRECATED_RULES:
                message = message.replace(" is removed in ", " is deprecated since ")
            remedy = (found.get("fix") or {}).get("message")
            yield found["code"], f"{path}:{found['location']['row']}: {message}{f': {remedy}' if remedy else ''}"
