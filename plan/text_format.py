"""A plan for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from plan.changes import Change, Changes, Kind
from plan.differences import ABSENT, Difference
from plan.effects import effects
from plan.model import USER_DATA_LIMIT, Plan, totals, user_data_sizes
from plan.resources import Names, highlights, short_type, tree
from plan.risks import risks

SECTIONS: Sequence[tuple[Kind, str]] = (
    ("replace", "To replace"),
    ("change", "To change"),
    ("create", "To create"),
    ("remove", "To remove"),
)
"""The kinds of change with their headings, in the order of a reviewer's interest."""

RISKS = "Risks"
EFFECTS = "What happens"

_WIDTH = 120

LOUD = "REPLACEMENT OR REMOVAL OF DATA"


def render(plan: Plan) -> str:
    """The resources and their totals; or, compared with another revision, only the changes, most important first."""
    names = plan.names()
    sections = [[f"{plan.project} {plan.stack}: account {plan.account_id}, region {plan.region}"]]
    if plan.changes is not None:
        sections += [
            _listed(RISKS, risks(plan.changes), "!"),
            _listed(EFFECTS, effects(plan.changes), "*"),
            [change_headline(plan.changes, plan.base)],
            *change_sections(plan.changes, plan.base, names),
        ]
    else:
        sections += [
            tree(plan.recording, names),
            [headline(plan), *(f"{count:>5}  {kind}" for kind, count in totals(plan.recording))],
            _user_data(plan),
        ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


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


def headline(plan: Plan) -> str:
    """The number of resources and components."""
    custom = sum(resource.options.custom for resource in plan.recording.resources)
    components = len(plan.recording.resources) - custom
    return f"{_counted(custom, 'resource')} in {_counted(components, 'component')}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def change_headline(changes: Changes, base: str) -> str:
    """How many of what kind."""
    if not changes.items:
        return f"Nothing changes since {base}."
    lost = len(changes.losing_data)
    counts = [f"{lost} REPLACED OR REMOVED WITH THEIR DATA"] if lost else []
    counts += [f"{len(changes.of(kind))} {title.lower()}" for kind, title in SECTIONS if changes.of(kind)]
    return f"Since {base}: {', '.join(counts)}."


def change_sections(changes: Changes, base: str, names: Names) -> list[list[str]]:
    """One section per kind of change."""
    writer = ChangeWriter(names, changes)
    sections = []
    if changes.losing_data:
        sections.append([f"!!! {LOUD}: {fate(changes)} !!!", *writer.lines(changes.losing_data)])
    for kind, title in SECTIONS:
        found = changes.of(kind)
        if found:
            sections.append([f"{title} since {base} ({len(found)})", *writer.lines(found)])
    return sections


def fate(changes: Changes) -> str:
    """What happens to the data in the resources that are lost."""
    if changes.base.account_id != changes.head.account_id:
        return f"these resources and their data stay behind in account {changes.base.account_id}"
    return "`pulumi up` deletes these resources and their data"


class ChangeWriter:
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
        loud = {"replace": "  REPLACEMENT", "remove": "  REMOVAL"}[change.kind] if change.loses_data else ""
        shown = f"  {highlights(change.resource, self._names)}" if change.kind == "create" else ""
        yield f"  {sign} {change.resource.name}  {short_type(change.resource.type)}{loud}{shown.rstrip()}"
        shown_below = {difference.reason for difference in change.differences}
        if not self._moved:
            yield from (f"      because {reason}" for reason in change.reasons if reason not in shown_below)
        if change.kind in ("replace", "remove") and (change.old or change.resource).options.protect:
            yield "      it is protected: `pulumi up` refuses until its protection is taken off"
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


def _user_data(plan: Plan) -> list[str]:
    rows = [
        f"  {size.role:<8} {size.component:<20} {size.size:>6,} of {USER_DATA_LIMIT:,} bytes"
        for size in user_data_sizes(plan.recording)
    ]
    return ["User data", *rows] if rows else []
