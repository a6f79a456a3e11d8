"""The base class of all sections of a stack file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from settings.errors import FaultyValue


class Section(BaseModel):
    """One section of the stack file: immutable, and strict about unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,  # the docstring of a field is its entry in docs/settings.md
    )

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, value: Any, info: ValidationInfo) -> Any:
        """A key without a value is a fault, even if None is the default: the value may have been forgotten."""
        optional = type(None) in get_args(cls.model_fields[str(info.field_name)].annotation)
        if value is None and optional:
            raise PydanticCustomError("nothing", "a value")
        return value

    if not TYPE_CHECKING:  # if type checkers saw __getattr__, they would accept every misspelt field

        def __getattr__(self, name: str) -> Any:
            """Called only for a field without a value, in the readable part of a faulty stack file."""
            if name in type(self).model_fields:
                raise FaultyValue(name)
            return super().__getattr__(name)
