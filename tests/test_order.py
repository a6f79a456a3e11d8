"""The order in which Pulumi creates and deletes a stack's resources: those that a node needs are created before it and
deleted after it."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache

import pytest

from engine.recording import Recording, Resource
from tests.stack_file import REMOVED, changed
from tests.stack_queries import GROUP, deletion_rounds, everything_before
from tests.stack_variants import VARIANTS, program, recorded

every_stack = pytest.mark.parametrize("variant", VARIANTS)

# The resources, by logical name, that a node does not need while it boots, works and terminates. Any other resource
# that its group does not wait for fails a test.
NOT_FOR_MASTERS = (
    "masters-launching-hook",  # the group is created with one, and a terminating master has nothing to wait for
    "masters-*-targets",  # the group's nodes are registered there
    "web-domain-*",  # leads people to existing masters
    "alerts-*",  # tell people, not nodes
    "alarms-*",
    "monitor-*",  # nodes keep their samples until it is there
    "metrics-volume",
    "pool-*",
)
NOT_FOR_WORKERS = (
    "pool-*-launching-hook",  # the group is created with one
    "pool-*-terminating-hook",  # AWS deletes it with the group, not Pulumi
    "alarms-*",
    "alerts-*",  # tell people, not nodes; the alarm for retained workers has the topic that it needs
    "monitor-*",  # nodes keep their samples until it is there
    "metrics-volume",
)

# Every line that may be removed from a stack file: the variant with it, and the one without.
REMOVALS = {
    "a pool": ("prod", changed({"airflow:workerPools.heavy": REMOVED})),
    "a zone": ("prod", changed({"airflow:network.zones": ["eu-west-1a", "eu-west-1b"]})),
    "the domain": ("domain", VARIANTS["prod"]),
    "public access": ("public", VARIANTS["domain"]),
    "alerts": ("alerts", VARIANTS["public"]),
    "the monitor": ("monitoring", changed({"airflow:alerts": {}})),
    "interface endpoints": ("endpoints", VARIANTS["prod"]),
}


def pools(recording: Recording) -> list[Resource]:
    return [group for group in recording.of_type(GROUP) if group.name.startswith("pool-")]


def not_before(recording: Recording, group: Resource, dispensable: Iterable[str]) -> list[str]:
    """The resources that the group's nodes need, but for which the group does not wait."""
    before = {group.urn, *(resource.urn for resource in everything_before(recording, group))}
    return [
        resource.name
        for resource in recording.resources
        if resource.options.custom and resource.urn not in before
        if not any(fnmatchcase(resource.name, pattern) for pattern in dispensable)
    ]


@cache
def removed(line: str) -> list[Resource]:
    """The resources that `pulumi up` deletes when a line is removed from the stack file."""
    variant, shorter = REMOVALS[line]
    kept = {resource.urn for resource in program(shorter).resources}
    return [resource for resource in recorded(variant).resources if resource.urn not in kept]


@every_stack
def test_masters_have_everything_they_need_from_boot_to_termination(variant: str):
    recording = recorded(variant)
    assert not not_before(recording, recording.named(GROUP, "masters-group"), NOT_FOR_MASTERS)


@every_stack
def test_workers_have_everything_they_need_from_boot_to_termination(variant: str):
    """This includes the masters, to which a draining worker reports the ends of its tasks."""
    recording = recorded(variant)
    for group in pools(recording):
        other_pools = [pool.name.replace("-group", "-*") for pool in pools(recording) if pool != group]
        assert not not_before(recording, group, [*NOT_FOR_WORKERS, *other_pools]), group.name


def test_every_exception_is_needed_by_some_stack():
    for patterns, groups in (
        (NOT_FOR_MASTERS, lambda recording: [recording.named(GROUP, "masters-group")]),
        (NOT_FOR_WORKERS, pools),
    ):
        late = {
            name
            for variant in VARIANTS
            for group in groups(recorded(variant))
            for name in not_before(recorded(variant), group, ())
        }
        assert not [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in late)]


@every_stack
def test_a_destroy_waits_for_the_workers_before_it_deletes_anything_else(variant: str):
    recording = recorded(variant)
    rounds = deletion_rounds(recording)
    last_pool = max(at for at, found in enumerate(rounds) for group in pools(recording) if group in found)
    earlier = [resource for found in rounds[:last_pool] for resource in found if resource.options.custom]
    assert all(resource.options.retain_on_delete for resource in earlier), [resource.name for resource in earlier]


@every_stack
def test_a_destroy_is_refused_before_it_deletes_anything(variant: str):
    """`pulumi destroy --yes --skip-preview` checks a resource's protection only just before it deletes the resource."""
    recording = recorded(variant)
    first = deletion_rounds(recording)[0]
    assert [resource.name for resource in first] == ["deletion-protection"]
    guarded = {resource.urn for resource in everything_before(recording, first[0])}
    spared = [r.name for r in recording.resources if r.options.custom and r.urn not in guarded]
    assert not spared, "with `--continue-on-error`, Pulumi would still delete these"


@pytest.mark.parametrize("line", REMOVALS)
def test_a_resource_that_one_line_of_the_stack_file_removes_is_not_protected(line: str):
    gone = removed(line)
    assert gone
    for resource in gone:
        assert not resource.options.protect, f"Pulumi would refuse to delete {resource.name}"
        switches = ("deletionProtection", "enableDeletionProtection")
        assert not any(resource.inputs.get(switch) for switch in switches), f"AWS would refuse {resource.name}"


def test_a_removed_pool_keeps_its_alarm_until_its_last_worker_has_drained():
    rounds = deletion_rounds(recorded("prod"), {resource.urn for resource in removed("a pool")})
    at = {resource.name: at for at, found in enumerate(rounds) for resource in found}
    assert at["pool-heavy-group"] < at["pool-heavy-retained-alarm"]
