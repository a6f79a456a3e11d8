"""What the recording engine refuses to do."""

from __future__ import annotations


class EngineRefusalError(AssertionError):
    """The program asked for something that a deployment would fail at, or that has no answer offline."""


class DuplicateNameError(EngineRefusalError):
    """Two resources would share one URN, the key of Pulumi's state."""


class UnplannedInvokeError(EngineRefusalError):
    """The program looked something up; it must be a function of its stack file alone."""


class UnknownArgumentError(EngineRefusalError):
    """An input has a key, or a shape, that the resource does not have."""
