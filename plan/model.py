"""What a plan is made of, before it is written in one of the formats."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from engine.recording import Recording, Resource
from engine.urns import name_of
from plan.changes import Changes
from plan.resources import Names, packed_size, short_type

USER_DATA_LIMIT = 16_384
"""Bytes before base64 that EC2 takes.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
"""

_LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run of the program, and how it differs from another revision's."""

    project: str
    stack: str
    account_id: str
    region: str
    recording: Recording
    base: str = ""
    """The revision it is compared with; empty if there is none."""
    base_recording: Recording | None = None
    changes: Changes | None = None

    def names(self) -> Names:
        """The names for ids and ARNs of both runs."""
        return Names(*filter(None, (self.recording, self.base_recording)))


@dataclass(frozen=True)
class UserDataSize:
    """The user data of one launch template."""

    role: str
    component: str
    size: int


def totals(recording: Recording) -> list[tuple[str, int]]:
    """How many resources of each kind, most first; components do not count."""
    counts = Counter(short_type(resource.type) for resource in recording.resources if resource.options.custom)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def user_data_sizes(recording: Recording) -> list[UserDataSize]:
    """One entry per launch template with user data."""
    return [
        UserDataSize(_role(resource), _component(resource), packed_size(str(resource.inputs["userData"])))
        for resource in recording.of_type(_LAUNCH_TEMPLATE)
        if "userData" in resource.inputs
    ]


def _role(resource: Resource) -> str:
    specifications: list[dict[str, Any]] = resource.inputs.get("tagSpecifications", [])
    roles = [specification.get("tags", {}).get("airflow:role") for specification in specifications]
    return next((str(role) for role in roles if role), "-")


def _component(resource: Resource) -> str:
    return name_of(resource.parent) if resource.parent else resource.name
