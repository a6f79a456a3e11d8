"""Lines of the journal: boot steps write sentences, services write JSON objects."""

from __future__ import annotations

import json
import sys

# systemd reads a line's priority from this prefix: sd-daemon(3).
WARNING = "<4>"


def say(text: str) -> None:
    """Write one line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def event(name: str, **facts: object) -> None:
    """Write one JSON object with the event's name first; a fact that is None is omitted."""
    say(entry(name, **facts))


def entry(name: str, **facts: object) -> str:
    """The line of an event."""
    return json.dumps(
        {"event": name} | {key: fact for key, fact in facts.items() if fact is not None}, ensure_ascii=False
    )


def one_line(error: object) -> str:
    """An error or a program's output as one line of at most about 400 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:200]} ... {text[-200:]}"
