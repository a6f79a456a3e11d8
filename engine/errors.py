"""Errors of a program that runs on the engine, and the exit codes of the commands that run one."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

import pulumi


class InputError(Exception):
    """The stack file, the revision or the command line is at fault; the message says what to do."""


class ReportedBugError(Exception):
    """A bug in a program that ran in another process; the message contains its traceback."""


class EngineRefusalError(AssertionError):
    """The program does something that would fail in a deployment, or looks something up in the cloud."""


class DuplicateNameError(EngineRefusalError):
    """Two resources would share one URN, the key of Pulumi's state."""


class UnplannedInvokeError(EngineRefusalError):
    """The program looked something up in the cloud; its stack file must contain everything that it depends on."""


class UnknownArgumentError(EngineRefusalError):
    """An input that the resource type does not declare, or whose shape differs from the declared one."""


class NameTooLongError(EngineRefusalError):
    """A generated name is longer than AWS allows; the provider refuses it too."""


SUCCESS, BAD_SETTINGS, BUG = 0, 1, 2
INTERRUPTED = 130  # as a shell reports Ctrl-C

REPORT = (
    "This is a bug in the program or in the plan, not in your settings. "
    "Please report it in the project's issue tracker with the lines above and the stack file."
)


def guarded(run: Callable[[], None]) -> int:
    """Run a command and return its exit code; an error is printed to standard error."""
    try:
        run()
    except (pulumi.RunError, InputError) as error:
        print(error, file=sys.stderr)
        return BAD_SETTINGS
    except ReportedBugError as error:
        print(error, file=sys.stderr)
        return BUG
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # noqa: BLE001 any other error is reported as a bug
        traceback.print_exc()
        print(REPORT, file=sys.stderr)
        return BUG
    return SUCCESS
