"""Runs a Pulumi program in this process, without the Pulumi engine, and returns what it registers."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pulumi.runtime import config as runtime_config
from pulumi.runtime import settings
from pulumi.runtime.proto import engine_pb2
from pulumi.runtime.stack import run_in_stack

from engine.errors import DuplicateNameError, EngineRefusalError, UnknownArgumentError, UnplannedInvokeError
from engine.monitor import Monitor, Outputs
from engine.recording import Recording, in_order
from engine.stack_config import StackConfig, read_stack_config, stack_config

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
"""The configuration that `deploy` uses where its caller gives none."""

_MOST_STEPS = 10_000
"""Steps of the event loop; a program takes one for each link of its longest chain of outputs."""

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
        _, recording = _run(main, stack=stack, config=config, preview=preview, outputs=outputs)
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
    return _run(program, stack="test", config=values, preview=preview, outputs=outputs)


def _run(
    program: Callable[[], Result], *, stack: str, config: StackConfig, preview: bool, outputs: Outputs | None
) -> tuple[Result, Recording]:
    monitor = Monitor(stack, config, preview=preview, outputs=outputs or {})
    built: list[Result] = []

    async def run() -> None:
        built.append(program())
        await _settled()

    async def main() -> None:
        runtime_config.set_all_config(dict(config.values), list(config.secret_keys))
        settings.ROOT.set(None)
        settings.configure(
            settings.Settings(
                project=config.project,
                stack=stack,
                monitor=monitor,
                engine=_Log(monitor.recording),
                dry_run=preview,
                organization="organization",
                root_directory=str(Path.cwd()),
            )
        )
        await run_in_stack(run)

    # A new loop, and a copy of the context: Pulumi keeps its settings and config in context variables.
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        loop.set_default_executor(_InlineExecutor())
        # Without this, asyncio reports every future that an error leaves behind, besides the error itself.
        loop.set_exception_handler(lambda _loop, _context: None)
        runner.run(main(), context=contextvars.copy_context())
    monitor.recording.resources = in_order(monitor.recording.resources)
    return built[0], monitor.recording


async def _settled() -> None:
    """Run the event loop until no registration and no output is outstanding.

    Pulumi waits for them too, but checks each of them (thousands) after every step: a third of a run's time.
    """
    for _ in range(_MOST_STEPS):
        if not settings.SETTINGS.outputs:
            return
        await asyncio.sleep(0)


class _InlineExecutor(ThreadPoolExecutor):
    """Runs each call at once in the caller's thread, so that registrations arrive in the same order in every run."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 a thread pool also returns every error through the future
            future.set_exception(error)
        return future


class _Log:
    """Receives what the program logs; keeps warnings and errors."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def Log(self, request: engine_pb2.LogRequest) -> None:  # noqa: N802 gRPC's name
        if request.severity in (engine_pb2.WARNING, engine_pb2.ERROR):
            severity = "error" if request.severity == engine_pb2.ERROR else "warning"
            self._recording.messages.append(f"{severity}: {request.message}")


@contextlib.contextmanager
def opened(root: Path) -> Generator[Callable[[], None]]:
    """Yield a function that runs `root/__main__.py` from its own folder, as the Pulumi CLI does.

    Resources are still registered after the program's last line, and their classes are then looked up in their
    modules; so the modules stay loaded until the context exits.
    """
    root = root.resolve()
    with contextlib.chdir(root), _only_modules_of(root):
        yield partial(_execute, root / "__main__.py")


def _execute(path: Path) -> None:
    main = ModuleType("__main__")
    main.__file__ = str(path)
    sys.modules["__main__"] = main
    exec(compile(path.read_bytes(), str(path), "exec"), main.__dict__)  # noqa: S102 this runs the program


@contextlib.contextmanager
def _only_modules_of(root: Path) -> Generator[None]:
    """Let the program import its own modules, even if this process has loaded others of the same names.

    Modules of `root` that are already loaded stay the same objects, so that `except SettingsError` in the caller
    catches the program's error. Modules that the program loads are removed afterwards, so that the next run reads
    the files again.
    """
    path, caller = list(sys.path), sys.modules["__main__"]
    before = _loaded(root)
    others = {name: module for name, module in before.items() if not _is_below(module, root)}
    for name in others:
        del sys.modules[name]
    # A module that the program lacks must not be imported from this checkout.
    sys.path[:] = [str(root), *(entry for entry in path if Path(entry or ".").resolve() != REPOSITORY)]
    try:
        yield
    finally:
        for name in _loaded(root).keys() - (before.keys() - others.keys()):
            del sys.modules[name]
        sys.modules.update(others)
        sys.modules["__main__"] = caller
        sys.path[:] = path


def _loaded(root: Path) -> dict[str, ModuleType]:
    """The loaded modules that have the name of a module in the program's folder or in this checkout.

    This checkout counts too, because a program that lacks such a module must not get the one that is loaded.
    """
    own = _names(root) | (_names(REPOSITORY) - {"lab", "tests"})
    own -= {"__main__", "engine", "plan"}
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in own}


def _names(folder: Path) -> set[str]:
    return {entry.stem for entry in folder.iterdir() if entry.suffix == ".py" or _is_package(entry)}


def _is_package(folder: Path) -> bool:
    return folder.name.isidentifier() and any(folder.glob("*.py"))


def _is_below(module: ModuleType, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    locations = [file] if file else list(getattr(module, "__path__", []))
    return any(Path(location).resolve().is_relative_to(root) for location in locations)
