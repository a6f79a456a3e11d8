"""How types, values and references to other resources are written for a reader."""

from __future__ import annotations

import json
import re
from typing import Any

from engine.fake_ids import hexadecimal
from engine.recording import Recording
from plan.documents import LONGEST_VALUE

_EC2_ID = re.compile(r"[a-z]+-0[0-9a-f]{16}")


def short_type(type_: str) -> str:
    """`aws:ec2/vpc:Vpc` as the program writes it, `aws.ec2.Vpc`; a component by its class alone."""
    package, module, name = type_.split(":", 2)
    area = module.split("/", 1)[0]
    if package == "aws":
        return f"aws.{area}.{name}"
    return f"{package}.{name}" if area == "index" else name


class Names:
    """The logical names of resources by the ids and ARNs that AWS would give them, which say nothing to a reader."""

    def __init__(self, *recordings: Recording) -> None:
        self._names: dict[str, str] = {}
        for recording in recordings:
            for resource in recording.resources:
                for value in (resource.id, resource.outputs.get("arn")):
                    if isinstance(value, str) and (_EC2_ID.fullmatch(value) or value.startswith("arn:")):
                        self._names.setdefault(value, resource.name)

    def write(self, value: Any) -> str:
        """A value on one line: references by their names, long texts by their size and a digest."""
        if isinstance(value, str):
            if value in self._names:
                return f"<{self._names[value]}>"
            if len(value) > LONGEST_VALUE:
                return f"({len(value):,} characters, {hexadecimal(value, 12)})"
            return value if value and not re.search(r"[\s=]", value) else json.dumps(value, ensure_ascii=False)
        if isinstance(value, list):
            return "[" + ", ".join(map(self.write, value)) + "]"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key}: {self.write(item)}" for key, item in value.items()) + "}"
        return json.dumps(value)
