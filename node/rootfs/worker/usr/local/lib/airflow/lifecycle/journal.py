"""What the service says: one JSON object per line, as the scaling controller on the masters writes them."""

from __future__ import annotations

import json

from airflow_node import log


def write(event: str, **facts: object) -> None:
    """One line. Facts that are None are left out."""
    known = {name: fact for name, fact in facts.items() if fact is not None}
    log.say(json.dumps({"event": event, **known}, ensure_ascii=False))
