"""Keeping secrets out of what a plan prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from offline.recording import Recording

MASK = "[secret]"

# Shorter values are left to the masking of their own property: they could be part of any word.
_SHORTEST_SCRUBBED = 8


def masked(values: Mapping[str, Any], secret_keys: Iterable[str]) -> dict[str, Any]:
    """The values, those of secret keys hidden whole."""
    return {key: MASK if key in secret_keys else value for key, value in values.items()}


def secret_values(*recordings: Recording) -> set[str]:
    """Every text that is the value of a secret input, output or export."""
    found: set[str] = set()
    for recording in recordings:
        for resource in recording.resources:
            found |= {str(resource.inputs[key]) for key in resource.secret_inputs}
            found |= {str(resource.outputs[key]) for key in resource.secret_outputs if key in resource.outputs}
        found |= {str(recording.exports[key]) for key in recording.secret_exports}
    return {value for value in found if len(value) >= _SHORTEST_SCRUBBED}


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets, raw or as JSON writes them.

    Properties are masked before they are printed; this is for a value that came to a place where nobody marked it.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        for written in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
            text = text.replace(written, MASK)
    return text
