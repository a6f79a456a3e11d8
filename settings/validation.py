"""Turns the content of a stack file into settings, or reports every fault in it at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from settings import schema, synonyms, type_remedies
from settings.errors import Fault, FaultyValue, SettingsError, cut, shown
from settings.schema import Path
from settings.stack_yaml import Unclear, Written
from settings.types import nearest

Model = TypeVar("Model", bound=BaseModel)

# For an Airflow option, faults show only the type: the value may be a password put there by mistake.
_IN_WORDS = {
    str: "a string, not shown",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a map",
}


# With these types, quotes around a number or a date would only cause the next fault.
_NOT_IN_QUOTES = ("int_type", "float_type", "bool_type", "tuple_type", "model_type", "dict_type")

# A password before the host, or a query, which may have a key in it.
_WITH_CREDENTIALS = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/]*@|[^\s\"]*\?)", re.IGNORECASE)


class ReadableMap(dict[str, Any]):
    """A map without its faulty entries; reading one of these raises FaultyValue."""

    def __init__(self, entries: Mapping[str, Any], faulty: Collection[str]) -> None:
        super().__init__(entries)
        self._faulty = frozenset(faulty)

    def __missing__(self, key: str) -> Any:
        raise FaultyValue(key) if key in self._faulty else KeyError(key)

    def get(self, key: Any, default: Any = None, /) -> Any:  # dict.get does not call __missing__
        if key in self._faulty:
            raise FaultyValue(key)
        return super().get(key, default)


@dataclass(frozen=True)
class Encrypted:
    """Placeholder for values that Pulumi has encrypted in the stack file; no fault may print them."""

    places: Sequence[Path]
    """Their paths below this key; empty if they are not known."""


def accept(
    model: type[Model], given: Mapping[str, Any], *, rules: Callable[[Model], Iterable[Fault]], stack: str
) -> Model:
    """Settings from the stack file's content by section.

    A faulty value does not hide faults between other values: the rules run on everything that could be read.
    Raises SettingsError with all faults.
    """
    if not given:
        raise SettingsError(stack, [_nothing_given(model)])
    errors: list[ErrorDetails] = []
    try:
        settings = model.model_validate(given, by_alias=True, by_name=False)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        settings = _readable_part(model, given, {_path(error) for error in errors})
    faults = [*(fault for error in errors for fault in _faults(model, error)), *rules(settings)]
    if faults:
        raise SettingsError(stack, sorted(faults, key=lambda fault: _place(model, fault.key)))
    return settings


def _readable_part(model: type[Model], given: Any, faulty: Collection[Path], at: Path = ()) -> Model:
    """The model without its faulty values; reading one of these raises FaultyValue."""
    keys = schema.fields_by_key(model) if isinstance(given, Mapping) else {}
    values: dict[str, Any] = {}
    for key, (name, field) in keys.items():
        path = (*at, key)
        section = schema.section_of(field.annotation)
        if not any(fault[: len(path)] == path for fault in faulty):
            values[name] = _value(field, given[key]) if key in given else field.get_default(call_default_factory=True)
        elif section and isinstance(given.get(key), Mapping):
            values[name] = (
                {word: _readable_part(section, part, faulty, (*path, word)) for word, part in given[key].items()}
                if schema.holds_a_map(field.annotation)
                else _readable_part(section, given[key], faulty, path)
            )
        elif schema.holds_a_map(field.annotation) and isinstance(given.get(key), Mapping):
            read = _value(field, _without(given[key], faulty, path))
            values[name] = _readable_map(read, faulty, path)
    part = model.model_construct(_fields_set={name for key, (name, _) in keys.items() if key in given})
    part.__dict__.clear()  # model_construct fills in defaults, which would hide that the given value is at fault
    part.__dict__.update(values)
    return part


def _without(given: Mapping[str, Any], faulty: Collection[Path], at: Path) -> dict[str, Any]:
    """A map whose keys the operator chose, without its faulty entries."""
    return {
        word: _without(value, faulty, (*at, word)) if isinstance(value, Mapping) else value
        for word, value in given.items()
        if (*at, word) not in faulty
    }


def _readable_map(read: Mapping[str, Any], faulty: Collection[Path], at: Path) -> ReadableMap:
    entries = {
        word: _readable_map(value, faulty, (*at, word)) if isinstance(value, Mapping) else value
        for word, value in read.items()
    }
    return ReadableMap(entries, {str(path[-1]) for path in faulty if path[:-1] == at})


def _value(field: FieldInfo, given: Any) -> Any:
    return TypeAdapter(field.rebuild_annotation()).validate_python(given, by_alias=True, by_name=False)


def _path(error: ErrorDetails) -> Path:
    return tuple(part for part in error["loc"] if part != "[key]")


def _nothing_given(model: type[BaseModel]) -> Fault:
    return Fault(
        key="config:",
        given="nothing",
        allowed=f"the stack's settings: {', '.join(schema.key_of((key,)) for key in schema.fields_by_key(model))}",
        remedy="if they are in the file, add the line `config:` above them and indent them; otherwise copy "
        "Pulumi.prod.yaml",
    )


def _faults(model: type[BaseModel], error: ErrorDetails) -> Iterator[Fault]:
    """The faults for one error from pydantic; if it is about encrypted values, one fault for each of them."""
    given = error["input"]
    if isinstance(given, Encrypted):
        for place in given.places or ((),):
            yield _encrypted(model, (*_path(error), *place), known=bool(given.places))
    elif isinstance(given, Unclear) and error["type"] != "extra_forbidden":
        yield _unclear(model, error, given)
    else:
        yield _fault(model, error)


def _encrypted(model: type[BaseModel], path: Path, *, known: bool) -> Fault:
    # If the file is not in the program's directory, only the section's key is known.
    key = schema.cli_path(path) if known else f"{schema.cli_path(path)}...."
    field = schema.field_at(model, path)
    kind = "--type string " if field and field.annotation in (str, str | None) else ""
    return Fault(
        key=schema.key_of(path),
        given="an encrypted value",
        allowed="unencrypted values: the program creates every secret of the cluster and keeps it in Secrets Manager",
        remedy=f"run `pulumi config set --path --plaintext {kind}'{key}' <value>`; if the value is a secret, remove it "
        f"from the stack file: `pulumi config rm --path '{key}'`",
    )


def _unclear(model: type[BaseModel], error: ErrorDetails, given: Unclear) -> Fault:
    """The fault for a number or a date that Pulumi passes on in another form than it is written."""
    path, number, kind = _path(error), given.number, error["type"]
    of_field = schema.allowed_at(model, path)
    shown_as = _shown(path, given.text) if path[0] == "config" and not given.is_key else cut(given.text)
    if kind in _NOT_IN_QUOTES and not given.is_key:
        described = f"{shown_as} on line {given.line}"
        remedy = type_remedies.remedy(kind, given.text, of_field) or "see docs/settings.md"
        if kind in ("int_type", "float_type") and number is not None:
            described += f", which Pulumi reads as {shown(number)}"
            fits = (kind == "float_type" or isinstance(number, int)) and (of_field is None or of_field.accepts(number))
            remedy = (
                f"write the number in plain decimal digits: {number}, if that is what you mean"
                if fits
                else type_remedies.remedy(kind, float(number), of_field) or remedy
            )
    else:
        described = f"{shown_as} without quotes, on line {given.line}"
        hidden = path[0] == "config" and not given.is_key
        remedy = "put it in quotes" if hidden else f'put it in quotes: "{shown_as}"'
    allowed = of_field.sentence if of_field and not given.is_key else type_remedies.what(kind) or "a string in quotes"
    return Fault(key=schema.key_of(path), given=described, allowed=allowed, remedy=remedy)


def _fault(model: type[BaseModel], error: ErrorDetails) -> Fault:
    path, kind, given = _path(error), error["type"], error["input"]
    key = schema.key_of(path)
    if kind == "extra_forbidden":
        return _unknown_key(model, path)
    field = schema.field_at(model, path)
    of_field = schema.allowed_at(model, path)
    if kind == "missing":
        nested = schema.section_of(field.annotation) if field else None
        what = of_field.sentence if of_field else "a section" if nested else "a value"
        return Fault(key=key, given="nothing", allowed=what, remedy="add it; the program has no default for it")
    if given is None:
        nested = "a section with keys" if field and schema.section_of(field.annotation) else "a value"
        sentence = of_field.sentence if of_field else type_remedies.what(kind) or nested
        return Fault(key=key, given="nothing", allowed=sentence, remedy=_remedy_for_nothing(model, path))
    if _holds_credentials(given):
        # A remedy derived from the given value would show them.
        fixed = (
            of_field.remedy if of_field and isinstance(of_field.remedy, str) else "leave out the user name and password"
        )
        allowed = of_field.sentence if of_field else type_remedies.what(kind) or "a value"
        return Fault(key=key, given="a URL with credentials, not shown", allowed=allowed, remedy=fixed)
    if kind == "not_allowed":
        context = error.get("ctx", {})
        return Fault(key=key, given=_shown(path, given), allowed=context["allowed"], remedy=context["remedy"])
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        return Fault(
            key=key, given=_shown(path, given), allowed=expected, remedy=type_remedies.choice_remedy(given, expected)
        )
    what = of_field.sentence if of_field else type_remedies.what(kind) or error["msg"]
    remedy = type_remedies.remedy(kind, given, of_field) or "see docs/settings.md"
    return Fault(key=key, given=_shown(path, given), allowed=what, remedy=remedy)


def _shown(path: Path, given: Any) -> str:
    """The given value; for Airflow options and the package index, which may hold a password, only its type."""
    if path[0] in ("config", "packageIndex"):
        return next((words for kind, words in _IN_WORDS.items() if isinstance(given, kind)), "a value")
    return given.text if isinstance(given, Written) else shown(given)


def _holds_credentials(given: Any) -> bool:
    return _WITH_CREDENTIALS.search(json.dumps(given, default=str)) is not None


def _remedy_for_nothing(model: type[BaseModel], path: Path) -> str:
    field = schema.field_at(model, path)
    if schema.is_entry(model, path):
        return "give it a value, or remove it"
    if field is not None and field.is_required():
        return "give it a value; the program has no default for it"
    section = schema.section_of(field.annotation) if field is not None else None
    if section is None:
        return "give it a value, or leave the key out to use the default"
    needs_keys = any(below.is_required() for below in section.model_fields.values())
    return f"indent its keys below it, {'' if needs_keys else 'write {} for its defaults, '}or leave the key out"


def _unknown_key(model: type[BaseModel], path: Path) -> Fault:
    """The fault for a key that does not exist; its value is not shown, because it may be a secret."""
    namespace, _, word = str(path[-1]).rpartition(":")
    known = list(schema.fields_by_key(schema.section_at(model, path)))
    if len(path) == 1:
        known = [key for key in known if key not in schema.PROVIDER_KEYS]
    alike = nearest(word, known)
    meant = schema.misspelt_provider_key(word) if namespace == "aws" and len(path) == 1 else None
    if meant:
        known, remedy = [*schema.PROVIDER_KEYS.values(), "other options of the provider"], f"did you mean {meant}?"
    elif len(path) == 1 and word in schema.PROVIDER_KEYS:
        remedy = f"write {schema.PROVIDER_KEYS[word]}"
    elif word.startswith("defaultTags."):
        known, remedy = (
            ["tags"],
            f"move {word.removeprefix('defaultTags.')} below tags:; elsewhere the provider ignores it",
        )
    elif known_elsewhere := synonyms.meant(path):
        remedy = known_elsewhere
    elif alike:
        remedy = f"did you mean {schema.key_of((*path[:-1], alike))}?"
    else:
        remedy = "remove it: nothing reads it"
    return Fault(key=schema.key_of(path), given="a key that does not exist", allowed=", ".join(known), remedy=remedy)


def _place(model: type[BaseModel], key: str) -> int:
    """The position of a key's section among the sections, so that the report follows the stack file."""
    order = [schema.key_of((first,)) for first in schema.fields_by_key(model)]
    return next((place for place, first in enumerate(order) if key.startswith(first)), len(order))
