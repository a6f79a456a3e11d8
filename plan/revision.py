"""Runs the program of another git revision on today's engine, in a process of its own, which returns a file."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import InputError, ReportedBugError, guarded
from engine.program import run_program
from engine.recording import Options, Recording, Resource

_ENGINE_ROOT = Path(__file__).resolve().parent.parent


class RevisionError(InputError):
    """A revision that cannot be planned; the message gives the reason and what to do."""


class RevisionFailedError(ReportedBugError):
    """The revision's program failed with something that is not the settings' fault."""


@dataclass(frozen=True)
class RevisionRun:
    """A run that is under way in a process of its own."""

    revision: str
    process: subprocess.Popen[str]
    record: Path

    def recording(self) -> Recording:
        """Wait for the run and read what it recorded."""
        _, errors = self.process.communicate()
        if self.process.returncode == 0:
            return _read(self.record)
        kind = RevisionError if self.process.returncode == 1 else RevisionFailedError
        raise kind(f"The program at {self.revision} cannot be planned:\n{errors.rstrip()}")


@contextlib.contextmanager
def started(revision: str, stack: str, root: Path) -> Generator[RevisionRun]:
    """Check the revision out into a temporary folder and start its program there; leaving the context stops it.

    The revision's program runs with the packages of today's virtual environment. Raises RevisionError.
    """
    commit = _commit(revision, root)
    with tempfile.TemporaryDirectory(prefix="plan-") as folder:
        tree, record = Path(folder, "tree"), Path(folder, "recording.json")
        _extract(commit, root, tree)
        for needed in ("Pulumi.yaml", f"Pulumi.{stack}.yaml", "__main__.py"):
            if not (tree / needed).is_file():
                raise RevisionError(f"Revision {revision!r} has no {needed}, so there is nothing to compare with.")
        command = [sys.executable, "-m", "plan.revision", "--root", str(tree), "--stack", stack, "--out", str(record)]
        # Not from the tree: its own `engine` and `plan`, if it has them, must not be imported instead of today's.
        with subprocess.Popen(
            command, cwd=_ENGINE_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                yield RevisionRun(revision, process, record)
            finally:
                if process.poll() is None:
                    process.kill()


def _commit(revision: str, root: Path) -> str:
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    try:
        found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RevisionError("Comparing with a revision needs git, which is not on PATH.") from None
    if found.returncode == 0:
        return found.stdout.strip()
    if found.stderr:
        raise RevisionError(f"git cannot read {revision!r} in {root}: {found.stderr.strip()}")
    raise RevisionError(
        f"There is no revision {revision!r} in this repository. Give a commit, a branch or a tag; "
        "in a shallow clone, fetch it first."
    )


def _extract(commit: str, root: Path, tree: Path) -> None:
    """Unpack the revision's files; if the repository contains more, only those below `root`."""
    tree.mkdir()
    with subprocess.Popen(["git", "archive", "--format=tar", commit], cwd=root, stdout=subprocess.PIPE) as archive:
        unpacked = subprocess.run(["tar", "-x", "-C", str(tree)], stdin=archive.stdout, check=False)
    if archive.returncode or unpacked.returncode:
        raise RevisionError(f"git archive {commit} failed in {root}.")


def _write(recording: Recording, path: Path) -> None:
    """Write the file. It contains secrets in plain text, so its folder must be private."""
    path.write_text(json.dumps(dataclasses.asdict(recording), default=sorted), encoding="utf-8")


def _read(path: Path) -> Recording:
    """Read the file that `_write` wrote."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return Recording(
        resources=[_resource(resource) for resource in document["resources"]],
        exports=document["exports"],
        secret_exports=frozenset(document["secret_exports"]),
        secret_texts=set(document["secret_texts"]),
        messages=document["messages"],
        account_id=document["account_id"],
        region=document["region"],
    )


def _resource(values: dict[str, Any]) -> Resource:
    options: dict[str, Any] = {key: _tuple(value) for key, value in values["options"].items()}
    restored: dict[str, Any] = {
        "options": Options(**options),
        "secret_inputs": frozenset(values["secret_inputs"]),
        "secret_outputs": frozenset(values["secret_outputs"]),
        "dependencies": _tuple(values["dependencies"]),
        "property_dependencies": {key: _tuple(urns) for key, urns in values["property_dependencies"].items()},
    }
    return Resource(**(values | restored))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def main() -> int:
    """Record one run, in the process that `started` starts; exit code 1 for bad settings, 2 for a bug."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    return guarded(lambda: _write(run_program(given.stack, root=given.root), given.out))


if __name__ == "__main__":
    gc.disable()  # nearly everything that a run allocates lives until its end: garbage collection would double its time
    raise SystemExit(main())
