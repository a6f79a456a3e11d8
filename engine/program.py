"""Running programs on a strict stand-in for the Pulumi engine, which remembers what was asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from engine import monitor
from engine.errors import DuplicateNameError, EngineRefusalError, UnknownArgumentError, UnplannedInvokeError
from engine.monitor import Outputs
from engine.program_modules import opened
from engine.recording import Recording
from engine.stack_config import read_stack_config, stack_config

__all__ = [
    "DEFAULT_CONFIG",
    "REPOSITORY",
    "DuplicateNameError",
    "EngineRefusalError",
    "Outputs",
    "Recording",
    "UnknownArgumentError",
    "UnplannedInvokeError",
    "deploy",
    "run_program",
]

REPOSITORY = Path(__file__).resolve().parent.parent

DEFAULT_CONFIG: Mapping[str, Any] = {"aws:region": "eu-west-1", "aws:allowedAccountIds": ["111122223333"]}
"""What `deploy` runs with unless its caller says otherwise."""

Result = TypeVar("Result")


def run_program(
    stack: str,
    *,
    root: Path = REPOSITORY,
    preview: bool = False,
    outputs: Outputs | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Recording:
    """Run the program in `root` with `Pulumi.<stack>.yaml` and return what it registered.

    `changes` replaces keys of the stack file, each with its namespace.
    `outputs` overrides or adds outputs by type token: a mapping, or a function of the registration that returns one.
    Raises StackFileError for an unreadable stack file, EngineRefusalError for what a deployment would fail at, and
    whatever the program raises (bad settings are a `pulumi.RunError`).
    """
    config = read_stack_config(root, stack, changes)
    with opened(root) as main:
        _, recording = monitor.run(main, stack=stack, config=config, preview=preview, outputs=outputs)
    return recording


def deploy(
    program: Callable[[], Result],
    *,
    preview: bool = False,
    outputs: Outputs | None = None,
    config: Mapping[str, Any] | None = None,
) -> tuple[Result, Recording]:
    """Run `program` as if it were a whole stack; return its result and what it registered."""
    values = stack_config("airflow", {**DEFAULT_CONFIG, **(config or {})})
    return monitor.run(program, stack="test", config=values, preview=preview, outputs=outputs)
