"""The program of each kind of stack, recorded once for all tests of the lab's pure parts."""

from __future__ import annotations

import pytest

from engine.recording import Recording
from lab.addresses import AddressPlan, plan_addresses
from lab.stack import record
from tests.stack_variants import recorded


@pytest.fixture(scope="session")
def recording() -> Recording:
    """The prod stack, with the lab's passwords."""
    return record("prod")


@pytest.fixture(scope="session")
def plan(recording: Recording) -> AddressPlan:
    return plan_addresses(recording)


@pytest.fixture(scope="session")
def public() -> Recording:
    """A stack with a domain and access from the internet."""
    return recorded("public")
