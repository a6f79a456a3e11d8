"""The resources that the program registers for every stack file, in previews and updates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

import pytest

from engine.program import REPOSITORY, run_program
from engine.recording import UNKNOWN, Recording, Registration
from node.user_data import decode
from tests.stack_file import STACKS
from tests.stack_queries import TEMPLATE
from tests.stack_variants import VARIANTS
from tests.stack_variants import recorded as recorded_variant
from tests.support import aws_names
from tests.support.state_keys import STATE_KEYS, golden, state_keys


@cache
def recorded(stack: str, *, preview: bool = False) -> Recording:
    return run_program(stack, preview=preview)


def user_data(recording: Recording) -> dict[str, str]:
    return {template.name: template.inputs["userData"] for template in recording.of_type(TEMPLATE)}


@pytest.mark.parametrize("stack", STACKS)
def test_a_preview_shows_every_resource_that_an_update_creates(stack: str):
    previewed, made = state_keys(recorded(stack, preview=True)), state_keys(recorded(stack))
    hidden = set(made) - set(previewed)
    assert not hidden, "resources that are created in an apply appear in no preview"
    assert previewed == made


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_state_keys_are_the_accepted_ones(variant: str):
    """A resource with another URN is deleted and created again."""
    accepted = golden(variant).read_text(encoding="utf-8").splitlines() if golden(variant).is_file() else []
    found = state_keys(recorded_variant(variant))
    if found != accepted:
        pytest.fail(
            "\n".join(
                [
                    f"The state keys of {variant} are not those in {golden(variant).relative_to(REPOSITORY)}.",
                    *(f"  - {key}" for key in sorted(set(accepted) - set(found))),
                    *(f"  + {key}" for key in sorted(set(found) - set(accepted))),
                    "Pulumi deletes a resource whose URN is gone; a resource that only has a new URN needs an alias.",
                    "To accept a deliberate change: .venv/bin/python -m tests.support.state_keys",
                ]
            ),
            pytrace=False,
        )


def test_a_name_in_aws_keeps_its_state_key_or_has_an_alias_for_it():
    """Pulumi creates before it deletes: with another key, AWS would refuse the new one because of its name."""
    first, found = aws_names.accepted(), aws_names.aws_names(aws_names.everything())
    moved = {
        name: f"{first[name]} -> {aws_names.key(holder.urn)}"
        for name, holder in found.items()
        if name in first and first[name] not in map(aws_names.key, (holder.urn, *holder.options.aliases))
    }
    assert not moved, "these need an alias for their old URN"
    assert found.keys() == first.keys(), "accept new names with: .venv/bin/python -m tests.support.aws_names"


def test_every_variant_has_a_file_of_accepted_state_keys_and_there_are_no_others():
    assert {path.stem for path in STATE_KEYS.iterdir()} == set(VARIANTS)


@pytest.mark.parametrize("stack", STACKS)
def test_a_preview_shows_all_of_the_user_data(stack: str):
    previewed = user_data(recorded(stack, preview=True))
    assert UNKNOWN not in previewed.values(), "a part of it is decided by AWS at creation"
    assert previewed == user_data(recorded(stack))
    assert previewed


PRINT_USER_DATA = """
import json, sys
from tests.test_program import recorded, user_data
json.dump(user_data(recorded(sys.argv[1])), sys.stdout)
"""


@pytest.mark.parametrize("stack", STACKS)
def test_equal_settings_give_equal_user_data_in_another_process(stack: str):
    """The order of a set differs between processes, and with it everything that depends on such an order. The hashes of
    the artifacts are in the user data too."""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    other = subprocess.run(
        [sys.executable, "-c", PRINT_USER_DATA, stack],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(other.stdout) == user_data(recorded(stack)), "otherwise every update would replace every node"


@pytest.mark.parametrize("stack", STACKS)
def test_user_data_depends_on_nothing_that_aws_decides(stack: str):
    """A restored database or a new endpoint must replace no node."""

    def other_answers(registration: Registration) -> dict[str, object]:
        arn = f"arn:aws:other:::{registration.name}"
        return {
            "id": f"other-{registration.name}",
            "arn": arn,
            "address": "other.example.org",
            "dnsName": "other.example.org",
            "primaryEndpointAddress": "other.example.org",
            "port": 1,
            "result": "other",
            "base64": "AAAA",
            "masterUserSecrets": [{"secretArn": arn, "kmsKeyId": arn, "secretStatus": "active"}],
        }

    declared = {resource.type for resource in recorded(stack).resources if resource.options.custom}
    ports = {"aws:rds/instance:Instance", "aws:elasticache/replicationGroup:ReplicationGroup"}

    def answers(registration: Registration) -> dict[str, object]:
        given = other_answers(registration)
        return given if registration.type in ports else {key: value for key, value in given.items() if key != "port"}

    changed = run_program(stack, outputs=dict.fromkeys(declared, answers))
    database = changed.only("aws:rds/instance:Instance")
    assert database.outputs["address"] == "other.example.org", "the outputs of AWS did change"
    assert user_data(changed) == user_data(recorded(stack))


@pytest.mark.parametrize("stack", STACKS)
def test_user_data_contains_no_secret(stack: str):
    recording = recorded(stack)
    secrets = {text for text in recording.secret_texts if len(text) >= 8}
    assert secrets
    for name, packed in user_data(recording).items():
        text = "\n".join(decode(packed).values())
        assert not [secret for secret in secrets if secret in text], f"{name} contains a secret"
