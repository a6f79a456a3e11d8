"""What a run of the program registers, in plain values without Pulumi's own types, and the URNs of its resources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STACK_TYPE = "pulumi:pulumi:Stack"

UNKNOWN = "<known after creation>"
"""In a preview's inputs, a value that only AWS can determine."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A request to register a resource: everything that its mock outputs depend on."""

    type: str
    name: str
    urn: str
    parent: str
    inputs: Mapping[str, Any]
    account_id: str
    region: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """The resource options as the engine receives them; property names are camelCase."""

    custom: bool
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    """URNs under which the resource may be found in the state, including those inherited from its parents."""
    delete_timeout: str = ""
    """How long a deletion may take, such as `13h`; empty leaves it to the provider."""
    depends_on: tuple[str, ...] = ()
    """URNs named in `depends_on`, without those that a property already refers to."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A registered resource. Inputs and outputs are plain dicts with camelCase keys, secrets unwrapped."""

    type: str
    name: str
    urn: str
    parent: str
    """URN of the parent component; empty for a resource at the top."""
    id: str
    """Empty for components, and in a preview."""
    inputs: Mapping[str, Any]
    secret_inputs: frozenset[str]
    outputs: Mapping[str, Any]
    secret_outputs: frozenset[str]
    options: Options
    dependencies: Sequence[str]
    property_dependencies: Mapping[str, Sequence[str]]


@dataclass
class Recording:
    """Every resource of one run and the stack's exports.

    A resource comes after everything that it depends on, including its component. Otherwise components are in the
    program's order, and the resources in a component are sorted by name. (Pulumi's own order of registration differs
    from run to run.)
    """

    resources: list[Resource] = field(default_factory=list)
    exports: dict[str, Any] = field(default_factory=dict)
    secret_exports: frozenset[str] = frozenset()
    secret_texts: set[str] = field(default_factory=set)
    """Every string that was a secret, or part of one, anywhere in the run."""
    messages: list[str] = field(default_factory=list)
    """Warnings and errors that the program logged."""
    account_id: str = ""
    region: str = ""

    def of_type(self, type_: str) -> list[Resource]:
        """All resources with this type token."""
        return [resource for resource in self.resources if resource.type == type_]

    def only(self, type_: str) -> Resource:
        """The only resource of this type; raises AssertionError, listing the registered ones."""
        return _single(self.of_type(type_), f"one {type_}", self.resources)

    def named(self, type_: str, name: str) -> Resource:
        """The resource of this type and logical name; raises AssertionError, listing the registered ones."""
        matches = [resource for resource in self.of_type(type_) if resource.name == name]
        return _single(matches, f"one {type_} named {name!r}", self.of_type(type_) or self.resources)


def in_order(resources: Sequence[Resource]) -> list[Resource]:
    """Sort resources into the order that `Recording` documents."""
    by_urn = {resource.urn: resource for resource in resources}
    components = {urn: at for at, urn in enumerate(urn for urn, each in by_urn.items() if not each.options.custom)}
    depths: dict[str, int] = {}

    def depth(resource: Resource) -> int:
        if resource.urn not in depths:
            above = [by_urn[urn] for urn in (resource.parent, *resource.dependencies) if urn in by_urn]
            depths[resource.urn] = 1 + max(map(depth, above), default=0)
        return depths[resource.urn]

    def place(resource: Resource) -> tuple[int, int, str, str]:
        component = components.get(resource.urn, components.get(resource.parent, len(components)))
        return depth(resource), component, resource.name, resource.type

    return sorted(resources, key=place)


def texts(value: Any) -> Iterator[str]:
    """Every string in a value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def _single(matches: list[Resource], wanted: str, candidates: list[Resource]) -> Resource:
    if len(matches) == 1:
        return matches[0]
    if matches:
        found = ", ".join(repr(resource.name) for resource in matches)
    else:
        counts = Counter(f"{resource.type} {resource.name!r}" for resource in candidates)
        found = ", ".join(sorted(counts)) or "nothing at all"
    raise AssertionError(f"expected {wanted}; {len(matches)} match. Registered: {found}")


@dataclass(frozen=True)
class Alias:
    """A former identity of a resource: a whole URN, or only the parts that differ from the current ones."""

    urn: str = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str | None = None
    """None: the current parent. Empty: directly under the stack."""


@dataclass(frozen=True)
class Identity:
    """The parts of a URN."""

    stack: str
    project: str
    parent: str
    type: str
    name: str

    @property
    def urn(self) -> str:
        """The URN. It contains the types of the parents, except the stack's, but not their names."""
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
    """Every former URN under which Pulumi's engine finds this resource, its own aliases first.

    Children inherit each alias of their parent. If a child's name starts with the parent's name, the engine assumes
    that the child's former name started with the parent's former name.
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
