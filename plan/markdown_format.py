"""A plan for a comment on a pull request."""

from __future__ import annotations

import re

from plan.changes import Changes
from plan.effects import effects
from plan.model import USER_DATA_LIMIT, Plan, totals, user_data_sizes
from plan.resources import tree
from plan.risks import risks
from plan.text_format import EFFECTS, LOUD, RISKS, SECTIONS, ChangeWriter, change_headline, fate, headline

LONGEST = 30_000
"""Characters. GitHub takes 65,536 in a comment, and one comment holds the plans of two stacks."""

# Characters of what is visible without unfolding: risks and what happens (each), and changes that lose data.
_LONGEST_SUMMARY, _LONGEST_SENTENCE, _LONGEST_LOSSES = 4_000, 1_000, 8_000

# Left for a section's own markup and for the line that counts what is left out.
_FRAME = 300


def render(plan: Plan) -> str:
    """A headline, the risks and what happens, and the rest in folded sections, most important first."""
    names = plan.names()
    parts = [f"### Plan of `{plan.stack}` ({plan.account_id}, {plan.region})", f"{headline(plan)}."]
    foldable: list[tuple[str, list[str], str]] = []
    if plan.changes is not None:
        writer = ChangeWriter(names, plan.changes)
        parts += _summary(plan.changes)
        parts.append(f"**{change_headline(plan.changes, f'`{plan.base}`')}**")
        if plan.changes.losing_data:
            lines = _fitting(writer.lines(plan.changes.losing_data), _LONGEST_LOSSES, plan.stack)
            parts.append(f"> [!CAUTION]\n> **{LOUD}:** {fate(plan.changes)}.\n\n" + _fenced(lines, "diff"))
        for kind, title in SECTIONS:
            found = plan.changes.of(kind)
            if found:
                foldable.append((f"{title} ({len(found)})", writer.lines(found), "diff"))
    parts.append(_user_data(plan))
    by_kind = _folded("Resources by kind", [f"{count:>5}  {kind}" for kind, count in totals(plan.recording)], "")
    foldable.append(("All resources", tree(plan.recording, names), ""))
    room = LONGEST - sum(len(part) + 2 for part in [*parts, by_kind]) - _FRAME * len(foldable)
    for title, lines, language in foldable:
        fitting = _fitting(lines, room, plan.stack)
        parts.append(_folded(title, fitting, language))
        room -= sum(len(line) + 1 for line in fitting[: len(lines)])
    return "\n\n".join(filter(None, [*parts, by_kind])) + "\n"


def _summary(changes: Changes) -> list[str]:
    """The risks, and what happens in the cluster."""
    parts = []
    found, events = risks(changes), effects(changes)
    if found:
        lines = _shortened(found)
        parts.append("\n".join(["> [!WARNING]", f"> **{RISKS}**", ">", *(f"> - {line}" for line in lines)]))
    if events:
        parts.append("\n".join([f"**{EFFECTS}**", "", *(f"- {line}" for line in _shortened(events))]))
    return parts


def _shortened(sentences: list[str]) -> list[str]:
    """As many as fit, each cut at a limit. Backticks still mark code; other markup is escaped."""
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
    """The first lines that fit; the last one says how many are left out."""
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


def _user_data(plan: Plan) -> str:
    sizes = user_data_sizes(plan.recording)
    if not sizes:
        return ""
    rows = [f"| {size.role} | {size.component} | {size.size:,} of {USER_DATA_LIMIT:,} |" for size in sizes]
    return "\n".join(["| role | nodes of | user data, bytes |", "|---|---|---|", *rows])
