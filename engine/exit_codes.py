"""How a command of this package ends: 0 fine, 1 the settings or the command line are at fault, 2 a bug."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

FINE, BAD_SETTINGS, BUG = 0, 1, 2
INTERRUPTED = 130  # as a shell reports Ctrl-C

REPORT = (
    "This is a bug in the program or in the plan, not in your settings. "
    "Please report it in the project's issue tracker with the lines above and the stack file."
)


def guarded(run: Callable[[], None]) -> int:
    """Run a command; say on standard error what went wrong, and return the exit code."""
    # Here and not above: `--help` and a wrong option need none of the engine.
    import pulumi

    from engine.errors import InputError, ReportedBugError

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
    except Exception:  # noqa: BLE001 whatever it is, it is reported as a bug
        traceback.print_exc()
        print(REPORT, file=sys.stderr)
        return BUG
    return FINE
