"""A Recording as a JSON file, to hand it from one process to another."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from engine.recording import Options, Recording, Resource


def write_recording(recording: Recording, path: Path) -> None:
    """Write the file. It holds secrets as they are: the caller keeps its folder to itself."""
    path.write_text(json.dumps(dataclasses.asdict(recording), default=sorted), encoding="utf-8")


def read_recording(path: Path) -> Recording:
    """Read what `write_recording` wrote."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return Recording(
        resources=[_resource(resource) for resource in document["resources"]],
        exports=document["exports"],
        secret_exports=frozenset(document["secret_exports"]),
        secret_texts=set(document["secret_texts"]),
        messages=document["messages"],
        account_id=document["account_id"],
        region=document["region"],
    )


def _resource(values: dict[str, Any]) -> Resource:
    options: dict[str, Any] = {key: _tuple(value) for key, value in values["options"].items()}
    restored: dict[str, Any] = {
        "options": Options(**options),
        "secret_inputs": frozenset(values["secret_inputs"]),
        "secret_outputs": frozenset(values["secret_outputs"]),
        "dependencies": _tuple(values["dependencies"]),
        "property_dependencies": {key: _tuple(urns) for key, urns in values["property_dependencies"].items()},
    }
    return Resource(**(values | restored))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
