"""A plan as JSON, for policy tools. docs/plan.md describes the format and what increases its version."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from engine.recording import Resource
from plan import Plan
from plan.changes import Change
from plan.differences import ABSENT, MASK, Difference
from plan.effects import effects
from plan.resources import totals, user_data_sizes
from plan.risks import risks

VERSION = 1


def render(plan: Plan) -> str:
    """The plan as one JSON document."""
    document: dict[str, Any] = {
        "version": VERSION,
        "project": plan.project,
        "stack": plan.stack,
        "accountId": plan.account_id,
        "region": plan.region,
        "resources": [_resource(resource) for resource in plan.recording.resources],
        "exports": _masked(plan.recording.exports, plan.recording.secret_exports),
        "totals": dict(totals(plan.recording)),
        "userData": [
            {"role": size.role, "component": size.component, "bytes": size.size}
            for size in user_data_sizes(plan.recording)
        ],
    }
    if plan.changes is not None:
        document["base"] = plan.base
        document["risks"] = risks(plan.changes)
        document["effects"] = effects(plan.changes)
        document["changes"] = [_change(change) for change in plan.changes.items]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _resource(resource: Resource) -> dict[str, Any]:
    options = resource.options
    return {
        "type": resource.type,
        "name": resource.name,
        "urn": resource.urn,
        "parent": resource.parent or None,
        "component": not options.custom,
        "id": resource.id or None,
        "inputs": _masked(resource.inputs, resource.secret_inputs),
        "outputs": _masked(resource.outputs, resource.secret_outputs),
        "options": {
            "protect": options.protect,
            "retainOnDelete": options.retain_on_delete,
            "deleteBeforeReplace": options.delete_before_replace,
            "ignoreChanges": list(options.ignore_changes),
            "replaceOnChanges": list(options.replace_on_changes),
            "aliases": list(options.aliases),
            "dependsOn": list(options.depends_on),
        },
        "dependencies": list(resource.dependencies),
        "propertyDependencies": {key: list(urns) for key, urns in resource.property_dependencies.items()},
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "losesData": change.loses_data,
        "type": change.resource.type,
        "name": change.resource.name,
        "urn": change.resource.urn,
        "oldUrn": change.old.urn if change.old else None,
        "reasons": list(change.reasons),
        "properties": [_difference(difference) for difference in change.differences],
    }


def _difference(difference: Difference) -> dict[str, Any]:
    written: dict[str, Any] = {"path": difference.path, "forcesReplacement": difference.replaces}
    if difference.files:
        return {**written, "diff": [line for lines in difference.files.values() for line in lines]}
    if difference.follows:
        return {**written, "follows": difference.follows}
    if difference.old is not ABSENT:
        written["old"] = difference.old
    if difference.new is not ABSENT:
        written["new"] = difference.new
    return written


def _masked(values: Mapping[str, Any], secret_keys: Iterable[str]) -> dict[str, Any]:
    """The values, with `MASK` in place of each secret one."""
    return {key: MASK if key in secret_keys else value for key, value in values.items()}
