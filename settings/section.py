"""What all sections of a stack file have in common."""

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
        """Nothing behind a key is a fault, also where None is the default: the value may have been forgotten."""
        optional = type(None) in get_args(cls.model_fields[str(info.field_name)].annotation)
        if value is None and optional:
            raise PydanticCustomError("nothing", "a value")
        return value

    if not TYPE_CHECKING:  # a __getattr__ that a type checker sees would make every misspelt field valid

        def __getattr__(self, name: str) -> Any:
            """Reached only for a field without a value: in the readable part of a stack file that is at fault."""
            if name in type(self).model_fields:
                raise FaultyValue(name)
            return super().__getattr__(name)
