"""Records that a program of another release may have written: on the worker board, or in S3.

Workers drain for up to two days beside masters of the next release. So a record may gain a field at any time. The field
needs a default in its dataclass, which says what its absence means. A field must not change its meaning.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

Record = TypeVar("Record")


def from_fields(kind: type[Record], fields: Any) -> Record:
    """The record, from the fields that this release knows.

    Raises TypeError where the fields are no JSON object, or lack one without a default. The caller checks the values.
    """
    if not isinstance(fields, dict):
        raise TypeError(f"{kind.__name__} is read from a JSON object, not from {type(fields).__name__}")
    known = {field.name for field in dataclasses.fields(kind)}  # ty: ignore[invalid-argument-type]
    return kind(**{name: value for name, value in fields.items() if name in known})
