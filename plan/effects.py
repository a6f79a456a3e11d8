"""What happens in a running cluster while a change is applied. One function per kind of event."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from engine.recording import Recording, Resource
from plan.changes import Change, Changes
from plan.differences import Difference, files_of
from plan.resources import LAUNCH_TEMPLATE, component_of
from plan.risks import BALANCER, BROKER, INSTANCE, PARAMETER_GROUP

GROUP = "aws:autoscaling/group:Group"

_MOST_CAUSES = 4
_ENVIRONMENT = "/etc/airflow/airflow.env"
_ARTIFACTS = "NODE_ARTIFACTS"
_KEY = re.compile(r"[0-9a-f]{64}/[^ \"]+")
# The tag of an instance with the version of a secret.
_VERSION_TAG = ".airflow:secret:"


def effects(changes: Changes) -> list[str]:
    """What happens in the running cluster, as sentences."""
    return [] if changes.moved else [sentence for rule in RULES for sentence in rule(changes)]


def nodes_replaced(changes: Changes) -> Iterator[str]:
    for change in changes.items:
        if change.resource.type != GROUP:
            continue
        component, nodes = component_of(change.resource), _nodes(change.resource, changes.head)
        drain = " A busy worker finishes its tasks first." if _worker(changes.head, change.resource) else ""
        if change.kind == "create":
            yield f"{component}: a new group of {_size(change.resource)}."
        elif change.kind == "remove":
            yield f"{component}: the group is deleted. Its workers finish their tasks first, up to their drain limit."
        elif change.kind == "replace":
            yield f"{component}: the group is replaced, and {nodes} with it, at once."
        elif (cause := _rolling(change, changes)) is not None:
            replaced = "is replaced" if _size(change.resource) == "1" else "are replaced one after the other"
            yield f"{component}: {nodes} {replaced}, because {cause} changes.{drain}"
        elif types := _removed_types(change):
            removed = f"its nodes of the removed types ({', '.join(types)})"
            yield f"{component}: {removed} are replaced one after the other.{drain}"


def worker_pools_scaled_to_zero(changes: Changes) -> Iterator[str]:
    for change in changes.updates(GROUP):
        old, new = change.sides("minSize")
        if old and new == 0:
            yield (
                f"{component_of(change.resource)}: scales down to 0 workers; the first task then waits until a worker "
                "has booted."
            )


def queues_reassigned(changes: Changes) -> Iterator[str]:
    before, after = _pools_by_queue(changes.base), _pools_by_queue(changes.head)
    for queue in sorted(before.keys() | after.keys()):
        old, new = before.get(queue), after.get(queue)
        if new is None:
            yield f"queue {queue}: no worker pool serves it any more; tasks in it, or sent to it, wait."
        elif old is not None and old != new:
            yield f"queue {queue}: served by the worker pool {new} instead of {old}."


def database_restarted(changes: Changes) -> Iterator[str]:
    restarted = False
    for change in changes.updates(INSTANCE):
        if change.kind != "change":
            continue
        name, standby = change.resource.name, change.sides("multiAz")[1]
        for key in ("instanceClass", "engineVersion", "identifier"):
            old, new = change.sides(key)
            if old != new:
                restarted = True
                # RDS upgrades the standby at the same time, so there is nothing to fail over to:
                # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_UpgradeDBInstance.PostgreSQL.html
                fails_over = standby and key != "engineVersion"
                outage = "a failover of a minute or two" if fails_over else "unavailable for some minutes"
                yield f"{name}: restarts for its new {_words(key)} ({old} to {new}): {outage}."
    for change in changes.updates(PARAMETER_GROUP):
        static = _static_parameters(change)
        if static and not restarted:
            verb = "takes" if len(static) == 1 else "take"
            yield f"{change.resource.name}: {', '.join(static)} {verb} effect only after you restart the database."


def broker_restarted(changes: Changes) -> Iterator[str]:
    for change in changes.updates(BROKER):
        if change.kind != "change":
            continue
        for key in ("nodeType", "engineVersion"):
            old, new = change.sides(key)
            if old != new:
                yield f"{change.resource.name}: fails over for its new {_words(key)} ({old} to {new})."


def balancers_replaced(changes: Changes) -> Iterator[str]:
    for change in changes.updates(BALANCER):
        if change.kind == "replace":
            yield (
                f"{change.resource.name}: replaced, with another address. The UI and the tasks' API are unavailable "
                "until its DNS record points to the new one."
            )


Rule = Callable[[Changes], Iterator[str]]
RULES: Sequence[Rule] = (
    nodes_replaced,
    worker_pools_scaled_to_zero,
    queues_reassigned,
    database_restarted,
    broker_restarted,
    balancers_replaced,
)
"""In the order in which the plan lists the effects."""


def _rolling(change: Change, changes: Changes) -> str | None:
    """The change that starts a refresh which replaces nodes; None if there is none.

    The provider starts one when the launch template or the mixed instances policy changes
    (https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/autoscaling_group#instance_refresh-1).
    With skip matching, a change of the policy alone replaces only nodes of removed types.
    """
    followed = {name for difference in change.differences for name in difference.follows.split(", ")}
    for template in changes.updates(LAUNCH_TEMPLATE):
        if template.resource.name in followed and template.resource.parent == change.resource.parent:
            causes = list(dict.fromkeys(cause for difference in template.differences for cause in _causes(difference)))
            more = f" and {len(causes) - _MOST_CAUSES} more" if len(causes) > _MOST_CAUSES else ""
            return f"the launch template ({', '.join(causes[:_MOST_CAUSES])}{more})"
    skipping = change.sides("instanceRefresh.preferences.skipMatching")[1]
    for key in ("launchTemplate", "mixedInstancesPolicy"):
        if not skipping and any(difference.path.startswith(key) for difference in change.differences):
            return f"the {_words(key)}"
    return None


def _removed_types(change: Change) -> list[str]:
    """The instance types that the group no longer has."""
    old, new = (
        [override.get("instanceType") for override in overrides or []]
        for overrides in change.sides("mixedInstancesPolicy.launchTemplate.overrides")
    )
    return [type_ for type_ in old if type_ not in new]


def _causes(difference: Difference) -> Iterator[str]:
    """What changed, in words that a reader of the stack file recognizes: for user data, the variables and files."""
    for name, lines in difference.files.items():
        if name != _ENVIRONMENT:
            yield name or difference.path
            continue
        changed = [line for line in lines if line[:1] in ("-", "+") and not line.startswith(("---", "+++"))]
        for line in changed:
            variable = re.split(r"[=.\[]", line[1:])[0]
            yield from _changed_artifacts(changed) if variable == _ARTIFACTS else [variable]
    if _VERSION_TAG in difference.path:
        yield f"the secret {difference.path.partition(_VERSION_TAG)[2]}"
    elif not difference.files and difference.key != "tagsAll":
        yield difference.key


def _changed_artifacts(lines: Sequence[str]) -> Iterator[str]:
    """The names of the objects that nodes fetch under another hash than before: of a lock, programs, a script."""
    removed, added = (
        {key for line in lines if line.startswith(f"{sign}{_ARTIFACTS}=") for key in _KEY.findall(line)}
        for sign in "-+"
    )
    yield from sorted({key.partition("/")[2] for key in removed ^ added})


def _nodes(group: Resource, head: Recording) -> str:
    """All nodes of a group, as the object or subject of a sentence."""
    noun, size = "worker" if _worker(head, group) else "node", _size(group)
    if size == "1":
        return f"the {noun}"
    return f"its {noun}s ({size})" if " " in size else f"the {size} {noun}s"


def _size(group: Resource) -> str:
    least, most = group.inputs.get("minSize"), group.inputs.get("maxSize")
    return f"{most}" if least == most else f"{least} to {most}"


def _words(key: str) -> str:
    """`instanceClass` in plain words: `instance class`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).lower()


def _static_parameters(change: Change) -> list[str]:
    """The changed parameters that the server reads only at its start."""
    methods = {each.get("name"): each.get("applyMethod") for each in change.resource.inputs.get("parameters", [])}
    changed = [
        found.group(1)
        for difference in change.differences
        if (found := re.match(r"parameters\[(.+?)\]", difference.path))
        and methods.get(found.group(1)) == "pending-reboot"
    ]
    return list(dict.fromkeys(changed))


def _worker(recording: Recording, group: Resource) -> bool:
    return any(
        template.parent == group.parent and environment_of(template).get("NODE_ROLE") == "worker"
        for template in recording.of_type(LAUNCH_TEMPLATE)
    )


def _pools_by_queue(recording: Recording) -> Mapping[str, str]:
    pools: dict[str, str] = {}
    for template in recording.of_type(LAUNCH_TEMPLATE):
        environment = environment_of(template)
        for queue in re.split(r"[,\s]+", environment.get("NODE_QUEUES", "")):
            if queue:
                pools[queue] = environment.get("NODE_POOL", component_of(template))
    return pools


def environment_of(template: Resource) -> dict[str, str]:
    """The environment file of the template's nodes."""
    files: Mapping[str, Any] = files_of("userData", template.inputs.get("userData")) or {}
    lines = (line.partition("=") for line in files.get(_ENVIRONMENT, "").splitlines())
    return {name: value.strip('"') for name, found, value in lines if found}
