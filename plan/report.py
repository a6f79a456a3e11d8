"""A plan as text for a terminal, as Markdown for a comment on a pull request, and as JSON for policy tools."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from aws_catalog import prices
from engine.recording import Resource
from plan import Plan, costs, durations
from plan.changes import Change, Changes, Kind
from plan.differences import ABSENT, MASK, Difference
from plan.effects import effects
from plan.resources import USER_DATA_LIMIT, Names, highlights, short_type, totals, tree, user_data_sizes
from plan.risks import risks

_SECTIONS: Sequence[tuple[Kind, str]] = (
    ("replace", "To replace"),
    ("change", "To change"),
    ("create", "To create"),
    ("remove", "To remove"),
)
"""The kinds of change with their headings, in the order of a reviewer's interest."""

_RISKS = "Risks"
_EFFECTS = "What happens"

_WIDTH = 120

_DATA_LOSS = "REPLACEMENT OR REMOVAL OF DATA"

JSON_VERSION = 1

LONGEST = 30_000
"""Characters. GitHub allows 65,536 in a comment, and one comment contains the plans of two stacks."""

# Limits, in characters, of what is visible without unfolding: risks and effects (each), one sentence, lost data.
_LONGEST_SUMMARY, _LONGEST_SENTENCE, _LONGEST_LOSSES = 4_000, 1_000, 8_000

# Reserved for a section's own markup and for the line that counts the omitted lines.
_FRAME = 300


def text(plan: Plan) -> str:
    """The resources and their totals; or, compared with another revision, only the changes, most important first."""
    names = plan.names()
    sections = [[f"{plan.project} {plan.stack}: account {plan.account_id}, region {plan.region}"]]
    if plan.changes is not None:
        sections += [
            _listed(_RISKS, risks(plan.changes), "!"),
            _listed(_EFFECTS, effects(plan.changes), "*"),
            [_change_headline(plan.changes, plan.base)],
            *_change_sections(plan.changes, plan.base, names),
        ]
    else:
        sections += [
            tree(plan.recording, names),
            [_headline(plan), *(f"{count:>5}  {kind}" for kind, count in totals(plan.recording))],
            _user_data_lines(plan),
            durations.lines(plan.recording),
            costs.lines(plan.recording, plan.region),
        ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def markdown(plan: Plan) -> str:
    """A headline, the risks and what happens, and the rest in folded sections, most important first."""
    names = plan.names()
    parts = [f"### Plan of `{plan.stack}` ({plan.account_id}, {plan.region})", f"{_headline(plan)}."]
    foldable: list[tuple[str, list[str], str]] = []
    if plan.changes is not None:
        writer = _ChangeWriter(names, plan.changes)
        parts += _summary(plan.changes)
        parts.append(f"**{_change_headline(plan.changes, f'`{plan.base}`')}**")
        if plan.changes.losing_data:
            lines = _fitting(writer.lines(plan.changes.losing_data), _LONGEST_LOSSES, plan.stack)
            parts.append(
                f"> [!CAUTION]\n> **{_DATA_LOSS}:** {_fate_of_data(plan.changes)}.\n\n" + _fenced(lines, "diff")
            )
        for kind, title in _SECTIONS:
            found = plan.changes.of(kind)
            if found:
                foldable.append((f"{title} ({len(found)})", writer.lines(found), "diff"))
    parts.append(_user_data_table(plan))
    by_kind = _folded("Resources by kind", [f"{count:>5}  {kind}" for kind, count in totals(plan.recording)], "")
    foldable.append(("All resources", tree(plan.recording, names), ""))
    room = LONGEST - sum(len(part) + 2 for part in [*parts, by_kind]) - _FRAME * len(foldable)
    for title, lines, language in foldable:
        fitting = _fitting(lines, room, plan.stack)
        parts.append(_folded(title, fitting, language))
        room -= sum(len(line) + 1 for line in fitting[: len(lines)])
    return "\n\n".join(filter(None, [*parts, by_kind])) + "\n"


def _listed(title: str, sentences: Sequence[str], sign: str) -> list[str]:
    if not sentences:
        return []
    lines = [
        textwrap.fill(
            sentence,
            _WIDTH,
            initial_indent=f"  {sign} ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for sentence in sentences
    ]
    return [title, *lines]


def _headline(plan: Plan) -> str:
    """The number of resources and components."""
    custom = sum(resource.options.custom for resource in plan.recording.resources)
    components = len(plan.recording.resources) - custom
    return f"{_counted(custom, 'resource')} in {_counted(components, 'component')}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _change_headline(changes: Changes, base: str) -> str:
    """The number of changes of each kind."""
    if not changes.items:
        return f"Nothing changes since {base}."
    lost = len(changes.losing_data)
    counts = [f"{lost} REPLACED OR REMOVED WITH THEIR DATA"] if lost else []
    counts += [f"{len(changes.of(kind))} {title.lower()}" for kind, title in _SECTIONS if changes.of(kind)]
    return f"Since {base}: {', '.join(counts)}."


def _change_sections(changes: Changes, base: str, names: Names) -> list[list[str]]:
    """One section per kind of change."""
    writer = _ChangeWriter(names, changes)
    sections = []
    if changes.losing_data:
        sections.append([f"!!! {_DATA_LOSS}: {_fate_of_data(changes)} !!!", *writer.lines(changes.losing_data)])
    for kind, title in _SECTIONS:
        found = changes.of(kind)
        if found:
            sections.append([f"{title} since {base} ({len(found)})", *writer.lines(found)])
    return sections


def _fate_of_data(changes: Changes) -> str:
    """What happens to the data in the resources that are replaced or removed."""
    if changes.base.account_id != changes.head.account_id:
        return f"these resources and their data stay behind in account {changes.base.account_id}"
    return "`pulumi up` deletes these resources and their data"


class _ChangeWriter:
    """Writes changes as lines; a file's diff that several resources share is written once."""

    def __init__(self, names: Names, changes: Changes) -> None:
        self._names = names
        self._moved = changes.moved  # the reason for every change, already stated among the risks
        self._written: dict[tuple[str, ...], str] = {}

    def lines(self, changes: Sequence[Change]) -> list[str]:
        """Each resource, why it is replaced, and each property that differs."""
        tagged: dict[tuple[Difference, ...], list[Change]] = {}
        lines = []
        for change in changes:
            if change.kind == "change" and all(each.path.startswith("tagsAll.") for each in change.differences):
                tagged.setdefault(change.differences, []).append(change)
            else:
                lines += self._change(change)
        for differences, alike in tagged.items():
            lines.append(f"  ~ the provider's default tags of {_counted(len(alike), 'resource')}")
            lines += [f"      {line}" for each in differences for line in self._difference(each, "")]
        return lines

    def _change(self, change: Change) -> Iterator[str]:
        sign = {"create": "+", "remove": "-", "change": "~", "replace": "-/+"}[change.kind]
        alarm = {"replace": "  REPLACEMENT", "remove": "  REMOVAL"}[change.kind] if change.loses_data else ""
        shown = f"  {highlights(change.resource, self._names)}" if change.kind == "create" else ""
        yield f"  {sign} {change.resource.name}  {short_type(change.resource.type)}{alarm}{shown.rstrip()}"
        shown_below = {difference.reason for difference in change.differences}
        if not self._moved:
            yield from (f"      because {reason}" for reason in change.reasons if reason not in shown_below)
        if change.kind in ("replace", "remove") and (change.old or change.resource).options.protect:
            yield "      it is protected: `pulumi up` refuses until the protection is removed"
        for difference in change.differences:
            for line in self._difference(difference, change.resource.name):
                yield f"      {line}"

    def _difference(self, difference: Difference, resource: str) -> Iterator[str]:
        """`path: old -> new`, or the diff of a document; a secret's values are not in it."""
        forced = "  (forces replacement)" if difference.replaces else ""
        if difference.files:
            yield f"{difference.path}:{forced}"
            for name, diff in difference.files.items():
                first = self._written.setdefault(diff, resource)
                yield from (f"  {line}" for line in (diff if first == resource else [f"{name}: as in {first}"]))
        elif difference.follows:
            yield f"{difference.path}: follows {difference.follows}{forced}"
        elif difference.secret:
            yield f"{difference.path}: {_secret_verb(difference)}{forced}"
        else:
            sides = [
                "(none)" if value is ABSENT else self._names.write(value) for value in (difference.old, difference.new)
            ]
            # A reference to the same resource, whose id or ARN changes because its account, region or name does.
            shown = f"{sides[0]}, under its new name" if sides[0] == sides[1] else f"{sides[0]} -> {sides[1]}"
            yield f"{difference.path}: {shown}{forced}"


def _secret_verb(difference: Difference) -> str:
    if difference.old is ABSENT:
        return "set (secret)"
    return "unset (secret)" if difference.new is ABSENT else "changed (secret)"


def _user_data_lines(plan: Plan) -> list[str]:
    rows = [
        f"  {size.role:<8} {size.component:<20} {size.size:>6,} of {USER_DATA_LIMIT:,} bytes"
        for size in user_data_sizes(plan.recording)
    ]
    return ["User data", *rows] if rows else []


def _summary(changes: Changes) -> list[str]:
    """The risks, and what happens in the cluster."""
    parts = []
    found, events = risks(changes), effects(changes)
    if found:
        lines = _shortened(found)
        parts.append("\n".join(["> [!WARNING]", f"> **{_RISKS}**", ">", *(f"> - {line}" for line in lines)]))
    if events:
        parts.append("\n".join([f"**{_EFFECTS}**", "", *(f"- {line}" for line in _shortened(events))]))
    return parts


def _shortened(sentences: list[str]) -> list[str]:
    """As many sentences as fit, each cut at a limit. Backticks still mark code; other markup is escaped."""
    lines, room = [], _LONGEST_SUMMARY
    for sentence in sentences:
        line = sentence if len(sentence) <= _LONGEST_SENTENCE else f"{sentence[:_LONGEST_SENTENCE]} ..."
        line = re.sub(r"([*<\[~])", r"\\\1", line)
        room -= len(line)
        if room <= 0:
            return [*lines, f"{len(sentences) - len(lines)} more: see the text format."]
        lines.append(line)
    return lines


def _fitting(lines: list[str], room: int, stack: str) -> list[str]:
    """The first lines that fit; the last line gives the number of omitted ones."""
    fitting = []
    for line in lines:
        room -= len(line) + 1
        if room <= 0:
            return [*fitting, f"... {len(lines) - len(fitting)} more lines are printed by: make plan STACK={stack}"]
        fitting.append(line)
    return fitting


def _folded(title: str, lines: list[str], language: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{_fenced(lines, language)}\n\n</details>"


def _fenced(lines: list[str], language: str) -> str:
    """A code block whose fence no line in it can close. In a diff the sign comes first, so that it is coloured."""
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    if language == "diff":
        lines = [re.sub(r"^(\s+)([-+])(?![-+/])", r"\2\1", line) for line in lines]
    return "\n".join([f"{fence}{language}", *lines, fence])


def _user_data_table(plan: Plan) -> str:
    sizes = user_data_sizes(plan.recording)
    if not sizes:
        return ""
    rows = [f"| {size.role} | {size.component} | {size.size:,} of {USER_DATA_LIMIT:,} |" for size in sizes]
    return "\n".join(["| role | nodes of | user data, bytes |", "|---|---|---|", *rows])


def json_document(plan: Plan) -> str:
    """The plan as one JSON document, whose format docs/plan.md describes, with what increases its version."""
    document: dict[str, Any] = {
        "version": JSON_VERSION,
        "project": plan.project,
        "stack": plan.stack,
        "accountId": plan.account_id,
        "region": plan.region,
        "resources": [_resource_json(resource) for resource in plan.recording.resources],
        "exports": _masked(plan.recording.exports, plan.recording.secret_exports),
        "totals": dict(totals(plan.recording)),
        "userData": [
            {"role": size.role, "component": size.component, "bytes": size.size}
            for size in user_data_sizes(plan.recording)
        ],
    }
    if (creation := durations.creation(plan.recording)) is not None:
        document["creation"] = {
            "fastMinutes": round(creation.fast, 1),
            "slowMinutes": round(creation.slow, 1),
            "chain": [resource.urn for resource in creation.chain],
        }
    cost = costs.floor(plan.recording)
    if cost.charges:
        document["cost"] = {
            "monthlyUsd": round(cost.monthly, 2),
            "pricesOf": prices.region(),
            "components": {name: round(usd, 2) for name, usd, _ in cost.components()},
            "unpriced": [str(charge) for charge in cost.unpriced],
        }
    if plan.changes is not None:
        document["base"] = plan.base
        document["risks"] = risks(plan.changes)
        document["effects"] = effects(plan.changes)
        document["changes"] = [_change_json(change) for change in plan.changes.items]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _resource_json(resource: Resource) -> dict[str, Any]:
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


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "losesData": change.loses_data,
        "type": change.resource.type,
        "name": change.resource.name,
        "urn": change.resource.urn,
        "oldUrn": change.old.urn if change.old else None,
        "reasons": list(change.reasons),
        "properties": [_difference_json(difference) for difference in change.differences],
    }


def _difference_json(difference: Difference) -> dict[str, Any]:
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
