"""Running the program of another git revision, on today's engine."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError, ReportedBugError
from engine.recording import Recording, read_recording

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
            return read_recording(self.record)
        kind = RevisionError if self.process.returncode == 1 else RevisionFailedError
        raise kind(f"The program at {self.revision} cannot be planned:\n{errors.rstrip()}")


@contextlib.contextmanager
def started(revision: str, stack: str, root: Path) -> Generator[RevisionRun]:
    """Check the revision out into a temporary folder and start its program there; stopped when the context is left.

    The revision's program runs with the packages of today's virtual environment. Raises RevisionError.
    """
    commit = _commit(revision, root)
    with tempfile.TemporaryDirectory(prefix="plan-") as folder:
        tree, record = Path(folder, "tree"), Path(folder, "recording.json")
        _extract(commit, root, tree)
        for needed in ("Pulumi.yaml", f"Pulumi.{stack}.yaml", "__main__.py"):
            if not (tree / needed).is_file():
                raise RevisionError(f"Revision {revision!r} has no {needed}, so there is nothing to compare with.")
        command = [sys.executable, "-m", "engine", "--root", str(tree), "--stack", stack, "--out", str(record)]
        # Not from the tree: its own `engine` package, if it has one, must not be taken for today's.
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
    """Unpack the revision's files; of a repository that holds more, those below `root`."""
    tree.mkdir()
    with subprocess.Popen(["git", "archive", "--format=tar", commit], cwd=root, stdout=subprocess.PIPE) as archive:
        unpacked = subprocess.run(["tar", "-x", "-C", str(tree)], stdin=archive.stdout, check=False)
    if archive.returncode or unpacked.returncode:
        raise RevisionError(f"git archive {commit} failed in {root}.")
