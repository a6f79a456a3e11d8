"""`python -m plan`: what `pulumi up` would create, without the Pulumi CLI, a provider or an account."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
from pathlib import Path
from typing import NoReturn

from engine.errors import BAD_SETTINGS, guarded
from engine.stack_config import stack_name

_REPOSITORY = Path(__file__).resolve().parent.parent

_EPILOG = """\
The text and Markdown formats are for people; json is the stable one for tools (docs/plan.md).
Standard output holds the plan and nothing else; warnings and errors go to standard error.

exit codes:
  0  the plan is printed
  1  an error in the stack file, the revision or the command line; standard error says what to do
  2  a bug: a traceback is on standard error
"""


class _Parser(argparse.ArgumentParser):
    """argparse leaves with 2 on a wrong command line; here 2 means a bug."""

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
        # The reader has seen enough (`| head`). Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _render(stack: str, base: str | None, format_: str, root: Path) -> str:
    from engine.program import run_program
    from engine.resource_types import missing_types
    from engine.stack_config import read_stack_config
    from plan import json_format, markdown_format, revision, text_format
    from plan.changes import compare
    from plan.model import Plan
    from plan.redaction import scrubbed

    config = read_stack_config(root, stack)
    # The other revision runs meanwhile, in its own process; what either prints must not get into the plan.
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
        base_recording=base_recording,
        changes=compare(base_recording, recording) if base_recording else None,
    )
    render = {"text": text_format.render, "markdown": markdown_format.render, "json": json_format.render}[format_]
    secrets = recording.secret_texts | (base_recording.secret_texts if base_recording else set())
    return scrubbed(render(plan), secrets)


if __name__ == "__main__":
    gc.disable()  # nearly everything that a run allocates lives until its end: collecting takes half of its time
    raise SystemExit(main())
