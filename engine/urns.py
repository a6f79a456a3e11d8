"""URNs, the keys of Pulumi's state, made and inherited the way the engine does it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Alias:
    """Another identity of a resource: a whole URN, or the parts in which it differs from today's."""

    urn: str = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str | None = None
    """None: today's parent. Empty: directly under the stack."""


@dataclass(frozen=True)
class Identity:
    """What a URN is made of."""

    stack: str
    project: str
    parent: str
    type: str
    name: str

    @property
    def urn(self) -> str:
        """The URN: parents count by their types only, and the stack itself does not count."""
        parents = qualified_type(self.parent) if self.parent else ""
        prefix = f"{parents}$" if parents and parents != STACK_TYPE else ""
        return f"urn:pulumi:{self.stack}::{self.project}::{prefix}{self.type}::{self.name}"


def qualified_type(urn: str) -> str:
    """The types from the outermost parent down to the resource, joined by `$`."""
    return urn.split("::", 3)[2]


def type_of(urn: str) -> str:
    """The resource's own type token."""
    return qualified_type(urn).rsplit("$", 1)[-1]


def name_of(urn: str) -> str:
    """The logical name; it may contain `::` itself."""
    return urn.split("::", 3)[3]


def alias_urns(identity: Identity, aliases: Iterable[Alias], parent_aliases: Iterable[str]) -> tuple[str, ...]:
    """Every URN the engine accepts as an old one of this resource, its own aliases first.

    A parent's alias is multiplied out over its children; a child whose name starts with the parent's is taken to have
    started with the parent's old name.
    """
    own = [_own_alias(identity, alias) for alias in aliases]
    found = dict.fromkeys(own)
    for old_parent in parent_aliases:
        for old in [identity.urn, *own]:
            found[_inherited(identity, type_of(old), name_of(old), old_parent)] = None
    found.pop(identity.urn, None)
    return tuple(found)


def _own_alias(identity: Identity, alias: Alias) -> str:
    if alias.urn:
        return alias.urn
    return Identity(
        stack=alias.stack or identity.stack,
        project=alias.project or identity.project,
        parent=identity.parent if alias.parent is None else alias.parent,
        type=alias.type or identity.type,
        name=alias.name or identity.name,
    ).urn


def _inherited(identity: Identity, type_: str, name: str, old_parent: str) -> str:
    parent_name = name_of(identity.parent)
    if name.startswith(parent_name):
        name = name_of(old_parent) + name[len(parent_name) :]
    return Identity(identity.stack, identity.project, old_parent, type_, name).urn
