"""Lookups in the models of the settings: from the path of a key to its field, and from a field to its section."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from aws_catalog.provider_options import PROVIDER_OPTIONS
from settings.types import Allowed, nearest

# Keys of Pulumi's AWS provider. The program reads them too, so that both use the same values.
PROVIDER_KEYS: Mapping[str, str] = {
    "region": "aws:region",
    "tags": "aws:defaultTags.tags",
    "allowedAccountIds": "aws:allowedAccountIds",
}
# The same keys as the provider spells them.
_PROVIDER_WORDS = tuple(where.partition(":")[2].partition(".")[0] for where in PROVIDER_KEYS.values())
Path = tuple[str | int, ...]
_PLAIN_WORD = re.compile(r"[A-Za-z_][\w-]*")


def fields_by_key(model: type[BaseModel]) -> dict[str, tuple[str, FieldInfo]]:
    """The fields of a section, with their names in Python, by their keys in the stack file."""
    return {field.alias or name: (name, field) for name, field in model.model_fields.items()}


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, directly, optionally or as the values of a map; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := section_of(part))), None)


def holds_a_map(annotation: Any) -> bool:
    """Whether the operator chooses the keys below this field: names of worker pools, tags or Airflow options."""
    return get_origin(annotation) is Mapping


def field_at(model: type[BaseModel], path: Path) -> FieldInfo | None:
    """The field that a path leads to or into; None if there is none."""
    return _walk(model, path)[0]


def _walk(model: type[BaseModel], path: Path) -> tuple[FieldInfo | None, int]:
    """The field of a path, and how many parts of the path lie below it: positions in a list, names in a map."""
    section: type[BaseModel] | None = model
    field: FieldInfo | None = None
    below = 0
    own_word_next = False
    for part in path:
        if section is None or own_word_next:
            own_word_next = False
            below += 1
            continue
        if part not in fields_by_key(section):
            return None, 0
        _, field = fields_by_key(section)[str(part)]
        below = 0
        section = section_of(field.annotation)
        own_word_next = section is not None and holds_a_map(field.annotation)
    return field, below


def is_entry(model: type[BaseModel], path: Path) -> bool:
    """Whether a path leads to an entry of a list or a map, which exists only because the operator wrote it."""
    return _walk(model, path)[1] > 0


def section_at(model: type[BaseModel], path: Path) -> type[BaseModel]:
    """The section that contains the key at this path."""
    field = field_at(model, path[:-1])
    return (section_of(field.annotation) if field else None) or model


def allowed_at(model: type[BaseModel], path: Path) -> Allowed | None:
    """What the value at a path has to be: a field's, or that of an entry of its list or map."""
    field, below = _walk(model, path)
    if field is None:
        return None
    marks: Sequence[Any] = (*field.metadata, *_marks(field.annotation))
    kind = field.annotation
    for _ in range(below):
        of_entry = [part for part in get_args(kind) if part is not Ellipsis]
        kind = of_entry[-1] if of_entry else None
        marks = _marks(kind)
    return next((mark for mark in marks if isinstance(mark, Allowed)), None)


def _marks(annotation: Any) -> Sequence[Any]:
    """The metadata of an Annotated value, optional (`ImageId | None`) or not."""
    own = getattr(annotation, "__metadata__", ())
    optional = get_args(annotation) if isinstance(annotation, UnionType) or get_origin(annotation) is Union else ()
    return own or [mark for part in optional for mark in _marks(part)]


def misspelt_provider_key(word: str) -> str | None:
    """The key of `aws:` that the program reads and that was probably meant; None for the provider's other options, and
    for a word that is closer to one of those."""
    if word in PROVIDER_OPTIONS:
        return None
    meant = nearest(word, PROVIDER_OPTIONS)
    return f"aws:{meant}" if meant in _PROVIDER_WORDS else None


def key_of(path: Path) -> str:
    """A path as it is written: `airflow:workerPools.default.queues[0]`, or the AWS provider's key."""
    first, rest = str(path[0]), path[1:]
    key = PROVIDER_KEYS.get(first) or (first if ":" in first else f"airflow:{first}")
    return _printable(key + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest))


def cli_path(path: Path) -> str:
    """A path in the syntax of `pulumi config --path`."""
    first = key_of(path[:1])
    return first + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" if _PLAIN_WORD.fullmatch(part) else f'["{part}"]'
        for part in path[1:]
    )


def _printable(key: str) -> str:
    """The key with control characters escaped, on which a terminal would act."""
    return key if key.isprintable() else key.encode("unicode_escape").decode()
