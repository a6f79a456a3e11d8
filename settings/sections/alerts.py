"""`airflow:alerts`: who is told when something is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field

from settings.errors import Fault, FaultyValue, shown
from settings.section import Section
from settings.types import Allowed, Name

Severity = Literal["critical", "warning"]
"""`critical`: people or tasks are affected now, or will be within hours. `warning`: it can wait for the next day."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""All severities, the most severe first."""

_HOST = r"(?=[^@/:]{4,253}(?:[:/]|$))(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*"
# The local part as in HTML: https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address
_EMAIL = re.compile(rf"(?=.{{6,254}}$)[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_HOST}")
# A host name is required: SNS delivers through the internet, whose certificates are for names.
_HTTPS = re.compile(rf"https://{_HOST}(?::(\d{{1,5}}))?(?:/[A-Za-z0-9._~%+:@=/-]*)?")


def _is_endpoint(text: str) -> bool:
    if _EMAIL.fullmatch(text):
        return True
    url = _HTTPS.fullmatch(text)
    return url is not None and 1 <= int(url[1] or 443) <= 65535


Endpoint = Annotated[
    str,
    Allowed(
        "an email address, or the https:// URL of a service that SNS can reach, without a user name, password or query",
        _is_endpoint,
        "write it like on-call@example.com or https://alerts.example.com/sns; a URL that contains a key is a secret: "
        "subscribe it yourself (docs/alerts.md)",
    ),
]


class SubscriberSettings(Section):
    """A person, list or service that is told, under a name of your choice."""

    endpoint: Endpoint
    """An email address, or the https:// URL of a service that speaks SNS's protocol. SNS asks the owner of either to
    confirm before it sends anything. Everybody who may read the stack file or Pulumi's state can read it:
    `docs/alerts.md` says how to subscribe a URL that contains a key."""

    minimum_severity: Severity = "warning"
    """The least severe alerts that are sent: `critical` for those that affect people or tasks now or within hours,
    `warning` for these and all others."""


class AlertSettings(Section):
    """Alarms on what only AWS knows (database, broker, load balancers, groups of nodes, NAT), and who is told: two SNS
    topics, `<cluster>-alerts-critical` and `<cluster>-alerts-warning`. `{}` creates both without a subscriber of the
    program. Without the section there are no topics, and only the alarm for retained workers exists, which tells
    nobody. See `docs/alerts.md`."""

    subscribers: Mapping[Name, SubscriberSettings] = Field(default_factory=dict)


def subscribers_are_distinct(alerts: AlertSettings | None) -> Iterator[Fault]:
    """No two subscribers have the same endpoint: SNS knows it once for each topic, with one severity."""
    first: dict[str, str] = {}
    for name, subscriber in (alerts.subscribers if alerts else {}).items():
        try:
            endpoint = subscriber.endpoint
        except FaultyValue:
            continue
        # Host names do not distinguish upper and lower case; paths and local parts may, but nobody relies on it.
        other = first.setdefault(endpoint.lower(), name)
        if other != name:
            yield Fault(
                key=f"airflow:alerts.subscribers.{name}.endpoint",
                given=f"{shown(endpoint)}, which {other} has too",
                allowed="an endpoint that no other subscriber has",
                remedy=f"remove {name} or {other}; minimumSeverity: warning also sends what is critical",
            )


RULES = (subscribers_are_distinct,)
