"""What can go wrong when a program runs on the engine."""

from __future__ import annotations


class InputError(Exception):
    """The stack file, the revision or the command line is at fault; the message says what to do."""


class ReportedBugError(Exception):
    """A bug in a program that ran in another process; the message holds its traceback."""


class EngineRefusalError(AssertionError):
    """The program asked for something that a deployment would fail at, or that has no answer offline."""


class DuplicateNameError(EngineRefusalError):
    """Two resources would share one URN, the key of Pulumi's state."""


class UnplannedInvokeError(EngineRefusalError):
    """The program looked something up; it must be a function of its stack file alone."""


class UnknownArgumentError(EngineRefusalError):
    """An input has a key, or a shape, that the resource does not have."""
