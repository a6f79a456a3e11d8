"""Finding one's way in the settings' models: from the path of a key to its field, and from a field to its section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from setting_rules.values import Allowed

# Keys whose place is Pulumi's AWS provider: the program reads what the provider is told, so that both agree.
PROVIDER_KEYS: Mapping[str, str] = {
    "region": "aws:region",
    "tags": "aws:defaultTags.tags",
    "allowedAccountIds": "aws:allowedAccountIds",
}
Path = tuple[str | int, ...]


def fields_by_key(model: type[BaseModel]) -> dict[str, tuple[str, FieldInfo]]:
    """The fields of a section, with their names in Python, by their keys in the stack file."""
    return {field.alias or name: (name, field) for name, field in model.model_fields.items()}


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, directly, optionally or as the values of a map; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := section_of(part))), None)


def holds_a_map(annotation: Any) -> bool:
    """Whether the keys below this field are the operator's own words: names of pools, of tags, of Airflow options."""
    return get_origin(annotation) is Mapping


def field_at(model: type[BaseModel], path: Path) -> FieldInfo | None:
    """The field that a path leads to, or None where the path ends at no field of ours."""
    section: type[BaseModel] | None = model
    field: FieldInfo | None = None
    own_word_next = False
    for part in path:
        if own_word_next or isinstance(part, int):
            own_word_next = False
            continue
        if section is None or part not in fields_by_key(section):
            return None
        _, field = fields_by_key(section)[part]
        section = section_of(field.annotation)
        own_word_next = holds_a_map(field.annotation)
    return field


def section_at(model: type[BaseModel], path: Path) -> type[BaseModel]:
    """The section in which the key at this path stands."""
    field = field_at(model, path[:-1])
    return (section_of(field.annotation) if field else None) or model


def allowed_at(field: FieldInfo) -> Allowed | None:
    """What a field says of its value as a whole, be it written at the field or in the kind of value it holds."""
    return next((mark for mark in (*field.metadata, *_marks(field.annotation)) if isinstance(mark, Allowed)), None)


def _marks(annotation: Any) -> Sequence[Any]:
    """The marks of an Annotated value that is optional: `ImageId | None` keeps them one level down."""
    own = getattr(annotation, "__metadata__", ())
    return own or [
        mark for part in get_args(annotation) if get_origin(annotation) is not tuple for mark in _marks(part)
    ]


def key_of(path: Path) -> str:
    """A path as one writes it: `airflow:workerPools.default.queues[0]`, or the AWS provider's key."""
    first, rest = str(path[0]), path[1:]
    key = PROVIDER_KEYS.get(first) or (first if ":" in first else f"airflow:{first}")
    return key + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)
