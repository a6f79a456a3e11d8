"""Limits Celery's remote control to inspections and to what the executor needs.

Every task can send commands through the broker, and all workers receive them: one `shutdown` would stop all workers,
one `revoke` with `terminate` would end a task of another DAG. Celery imports this into the worker's main process, as
one of its `imports`.
"""

from __future__ import annotations

from typing import Any

from celery.signals import worker_init
from celery.utils.log import get_logger
from kombu import pidbox

# Sent by `airflow celery list-workers`, Airflow's CeleryQueueSensor and `celery inspect`.
INSPECTIONS = frozenset(
    ("active", "active_queues", "ping", "query_task", "registered", "reserved", "revoked", "scheduled", "stats")
)
# The executor sends it for each task that it gives up, always with the name of a signal, although no process is ended.
REVOKE = "revoke"
# Ids per revoke: the worker does nothing else while it writes them to the result database.
MOST_REVOKED = 100
# How much of a sender's text a log line shows.
SHOWN_CHARACTERS = 200

logger = get_logger(__name__)


class RemoteControl(pidbox.Node):
    """The worker's side of the remote control."""

    def handle_message(self, body: Any, message: Any = None) -> Any:
        """Execute a command for this worker, and reply.

        Celery's own method adopts the sender's clock, which may not be a number, and matches the worker's name against
        the sender's pattern, which may take for ever.
        """
        del message
        if not _is_command(body):
            logger.warning("Remote control: ignored a malformed command: %s", _shown(body))
            return None
        if body.get("destination") and self.hostname not in body["destination"]:
            return None
        return self.dispatch(
            body["method"], body.get("arguments"), reply_to=body.get("reply_to"), ticket=body.get("ticket")
        )

    def handle(self, method: str, arguments: Any = None) -> Any:
        """Execute an allowed command. A refused one is logged, and the reply has the reason."""
        arguments = arguments or {}
        why = _objection(method, arguments)
        if why is None:
            return super().handle(method, arguments)
        logger.warning("Remote control: %s %s is refused: %s", _shown(method), _shown(arguments), why)
        return {"error": f"refused: {why}"}


def _is_command(body: Any) -> bool:
    if not isinstance(body, dict) or body.get("pattern") or body.get("matcher"):
        return False
    destination, reply_to = body.get("destination") or [], body.get("reply_to") or {}
    return (
        isinstance(body.get("method"), str)
        and isinstance(body.get("arguments") or {}, dict)
        and isinstance(destination, list)
        and isinstance(reply_to, dict)
        and (not reply_to or all(isinstance(reply_to.get(key), str) for key in ("exchange", "routing_key")))
    )


def _objection(method: str, arguments: dict[str, Any]) -> str | None:
    """Why the command is refused; None if it is allowed."""
    if method in INSPECTIONS:
        return None
    if method != REVOKE:
        return "workers of this cluster answer questions and plain revokes only"
    if arguments.keys() - {"task_id", "terminate", "signal"} or arguments.get("terminate"):
        return "to end a task that runs, mark it as failed in Airflow"
    ids = arguments.get("task_id")
    ids = ids if isinstance(ids, list) else [ids]
    if len(ids) > MOST_REVOKED or not all(isinstance(each, str) for each in ids):
        return f"it takes up to {MOST_REVOKED} ids of messages"
    return None


def _shown(sent: Any) -> str:
    text = repr(sent)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


@worker_init.connect
def _install(sender: Any, **_: Any) -> None:
    sender.app.control.mailbox.node_cls = RemoteControl
