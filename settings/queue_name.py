"""The names of Celery queues."""

from __future__ import annotations

import re
from typing import Annotated

from settings.types import Allowed

# Celery's Redis transport uses these names itself: for unacknowledged messages, for bindings of queues to exchanges,
# and for the exchanges of events and commands (kombu/transport/redis.py, kombu/pidbox.py, celery/events/event.py).
_OF_CELERY = re.compile(r"unacked.*|_kombu.*|celeryev.*|.*\.pidbox")


def _is_queue_name(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,249}", text)) and not _OF_CELERY.fullmatch(text)


def _queue_remedy(text: str) -> str:
    if "," in text:
        return f"write [{', '.join(filter(None, map(str.strip, text.split(','))))}] for several queues"
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:240] or "heavy"
    if _OF_CELERY.fullmatch(plain):
        plain = f"{plain}-tasks" if plain.endswith(".pidbox") else f"tasks-{plain}"
    return f"rename the queue here and in the DAGs that use it, for example {plain}"


QueueName = Annotated[
    str,
    Allowed(
        "up to 250 letters, digits, dots, hyphens and underscores (Airflow joins a worker's queues with commas), no "
        "hyphen or dot at the start; Celery reserves names that start with unacked, _kombu or celeryev, or end in "
        ".pidbox",
        _is_queue_name,
        _queue_remedy,
    ),
]
