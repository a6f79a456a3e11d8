"""`python -m plan`: what `pulumi up` would create, without the Pulumi CLI, a provider or an account."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from engine.errors import BAD_SETTINGS, guarded
from engine.program import run_program
from engine.resource_types import missing_types
from engine.stack_config import read_stack_config, stack_name
from plan import Plan, report, revision
from plan.changes import compare
from plan.differences import MASK

_REPOSITORY = Path(__file__).resolve().parent.parent

# Shorter secrets are masked only in their own property: they could occur in any word.
_SHORTEST_SCRUBBED = 8

_EPILOG = """\
The text and Markdown formats are for people; json is the stable one for tools (docs/plan.md).
Standard output contains the plan and nothing else; warnings and errors go to standard error.

exit codes:
  0  the plan is printed
  1  an error in the stack file, the revision or the command line; standard error says what to do
  2  a bug: a traceback is on standard error
"""


class _Parser(argparse.ArgumentParser):
    """argparse exits with 2 on a wrong command line; here 2 means a bug."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(BAD_SETTINGS, f"{self.prog}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Print a plan as the command line describes it; the return value is the exit code."""
    parser = _Parser(
        prog="make plan",
        usage="make plan [STACK=prod] [BASE=<revision>] [FORMAT=text|markdown|json]\n"
        "       python -m plan [--stack prod] [--base <revision>] [--format text|markdown|json]",
        description="Show what `pulumi up` would create, or what it would change since another revision.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--stack", type=stack_name, default="prod", help="the stack whose file is read: Pulumi.<stack>.yaml"
    )
    parser.add_argument("--base", help="a git revision to compare with: a commit, a branch, a tag")
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text", help="default: text")
    parser.add_argument("--root", type=Path, default=_REPOSITORY, help="the program's folder (default: this checkout)")
    given = parser.parse_args(arguments)
    return guarded(lambda: _print_plan(given.stack, given.base, given.format, given.root.resolve()))


def _print_plan(stack: str, base: str | None, format_: str, root: Path) -> None:
    text = _render(stack, base, format_, root)
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        # The pipe is closed (`| head`). Without this, Python reports that again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _render(stack: str, base: str | None, format_: str, root: Path) -> str:
    config = read_stack_config(root, stack)
    # The other revision runs in a process of its own at the same time. What either prints must not get into the plan.
    with revision.started(base, stack, root) if base else contextlib.nullcontext() as other:
        with contextlib.redirect_stdout(sys.stderr):
            recording = run_program(stack, root=root)
        base_recording = other.recording() if other else None
    for message in (*recording.messages, *(f"warning: {sentence}" for sentence in missing_types(recording))):
        print(message, file=sys.stderr)
    plan = Plan(
        project=config.project,
        stack=stack,
        account_id=config.account_id,
        region=config.region,
        recording=recording,
        base=base or "",
        changes=compare(base_recording, recording) if base_recording else None,
    )
    render = {"text": report.text, "markdown": report.markdown, "json": report.json_document}[format_]
    secrets = recording.secret_texts | (base_recording.secret_texts if base_recording else set())
    return _scrubbed(render(plan), secrets)


def _scrubbed(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret masked, as it is or as JSON escapes it.

    Properties are masked already. This finds a secret in a value that the program did not mark as secret.
    """
    # The longest first: a DSN before the password in it.
    for secret in sorted((secret for secret in secrets if len(secret) >= _SHORTEST_SCRUBBED), key=len, reverse=True):
        for written in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
            text = text.replace(written, MASK)
    return text


if __name__ == "__main__":
    gc.disable()  # nearly everything that a run allocates lives until its end: garbage collection would double its time
    raise SystemExit(main())
