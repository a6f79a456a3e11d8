"""What AWS would answer: ids, ARNs and endpoints in its real formats, the same for the same program every time.

One module per part of AWS; each adds its answers to one table by type token. A type without an entry gets an id that
names the resource, and no outputs beyond its inputs.
"""

from __future__ import annotations

from engine.recording import Registration
from engine.resource_types import compute, databases, network, random_values, security, storage, web
from engine.resource_types.mock_outputs import ANSWERS, Answer

__all__ = ["Answer", "answer", "compute", "databases", "network", "random_values", "security", "storage", "web"]


def answer(registration: Registration) -> Answer:
    """The answer for one registration."""
    give = ANSWERS.get(registration.type)
    return give(registration) if give else Answer(id=f"{registration.name}-id")
