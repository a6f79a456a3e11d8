"""Keeping secrets out of what a plan prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "[secret]"

# Shorter values are left to the masking of their own property: they could be part of any word.
_SHORTEST_SCRUBBED = 8


def masked(values: Mapping[str, Any], secret_keys: Iterable[str]) -> dict[str, Any]:
    """The values, those of secret keys hidden whole."""
    return {key: MASK if key in secret_keys else value for key, value in values.items()}


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets, raw or as JSON writes them.

    Properties are masked before they are printed; this is for a value that came to a place where nobody marked it.
    """
    # The longest first: a DSN before the password in it.
    for secret in sorted((secret for secret in secrets if len(secret) >= _SHORTEST_SCRUBBED), key=len, reverse=True):
        for written in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
            text = text.replace(written, MASK)
    return text
