"""The accepted physical names: which resource has each name in the state of a running stack.

`python -m tests.support.aws_names` adds new names and removes those that no longer exist. A name stays with the
resource that had it first, which stacks may still have in their state.
"""

from __future__ import annotations

from functools import cache

from engine.recording import Recording, Resource, name_of, qualified_type
from engine.resource_types import physical_name, resource_type
from tests.stack_file import changed
from tests.stack_variants import ALERTS, DOMAIN, program
from tests.support.state_keys import GOLDEN

NAMES = GOLDEN / "aws_names.txt"

# Their keys are digests of their content.
_DIGESTS = "aws:s3/bucketObjectv2:BucketObjectv2"


@cache
def everything() -> Recording:
    """A stack with every kind of named resource, and with fixed account, cluster name and domain."""
    return program(
        changed(
            {
                **DOMAIN,
                "aws:allowedAccountIds": ["111122223333"],
                "airflow:cluster.accountId": "111122223333",
                "airflow:cluster.name": "airflow-prod",
                "airflow:web.public": {},
                "airflow:alerts": ALERTS,
            }
        )
    )


def key(urn: str) -> str:
    """The part of a URN that is the same in every stack."""
    return f"{qualified_type(urn)} {name_of(urn)}"


def aws_names(recording: Recording) -> dict[str, Resource]:
    """Every resource to which the program gives a physical name, by type and name."""
    known = {value: r.name for r in recording.resources for value in (r.id, r.outputs.get("arn")) if value}
    found = {}
    for resource in recording.resources:
        name = physical_name(resource)
        if name is None or resource.type == _DIGESTS:
            continue
        if parts := resource_type(resource.type).unique_by:
            given = {part: resource.inputs[part] for part in parts if part in resource.inputs}
            texts = {part: value for part, value in given.items() if not isinstance(value, list)}
            name = (name[0], *(text if part == "name" else known.get(text, text) for part, text in texts.items()))
        found[" ".join(map(str, name))] = resource
    return found


def accepted() -> dict[str, str]:
    """The key of the resource that had the name first, by type and name."""
    lines = NAMES.read_text(encoding="utf-8").splitlines() if NAMES.is_file() else []
    return dict(line.split(" : ", 1) for line in lines)


if __name__ == "__main__":
    first = accepted()
    lines = [
        f"{name} : {first.get(name, key(holder.urn))}\n" for name, holder in sorted(aws_names(everything()).items())
    ]
    NAMES.write_text("".join(lines), encoding="utf-8")
