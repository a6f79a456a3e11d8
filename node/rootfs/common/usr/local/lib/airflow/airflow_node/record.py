"""Reads records that a program of another release may have written to the worker registry or to S3.

Workers may drain for two days while masters run the next release. So a record may have fields that this release does
not know, or lack new ones. A new field needs a default in its dataclass, which defines what its absence means. A field
must not change its meaning.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

Record = TypeVar("Record")


def from_fields(kind: type[Record], fields: Any) -> Record:
    """The record, from the fields that this release knows.

    Raises TypeError if `fields` is not a JSON object, or lacks a field without a default. The caller checks the values.
    """
    if not isinstance(fields, dict):
        raise TypeError(f"{kind.__name__} is read from a JSON object, not from {type(fields).__name__}")
    known = {field.name for field in dataclasses.fields(kind)}  # ty: ignore[invalid-argument-type]
    return kind(**{name: value for name, value in fields.items() if name in known})
