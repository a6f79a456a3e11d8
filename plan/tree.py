"""The resources of a plan as a tree under their components."""

from __future__ import annotations

from collections import defaultdict

from engine.recording import Recording, Resource
from plan.highlights import highlights
from plan.labels import Names, short_type


def tree(recording: Recording, names: Names) -> list[str]:
    """One line per resource, in the order of registration within each component."""
    children: dict[str, list[Resource]] = defaultdict(list)
    for resource in recording.resources:
        children[resource.parent].append(resource)
    return _branch(children, "", "", names)


def _branch(children: dict[str, list[Resource]], parent: str, indent: str, names: Names) -> list[str]:
    lines = []
    siblings = children.get(parent, [])
    for resource in siblings:
        last = resource is siblings[-1]
        line = f"{indent}{'└─ ' if last else '├─ '}{resource.name}  {short_type(resource.type)}"
        lines.append("  ".join(filter(None, (line, highlights(resource, names)))))
        lines += _branch(children, resource.urn, indent + ("   " if last else "│  "), names)
    return lines
